"""Tests of slash80.settings."""
