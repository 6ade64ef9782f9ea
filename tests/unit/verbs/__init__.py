"""Tests of slash80.verbs."""
