"""Tests of slash80.host."""
