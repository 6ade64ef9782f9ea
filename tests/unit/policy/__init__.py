"""Tests of slash80.policy."""
