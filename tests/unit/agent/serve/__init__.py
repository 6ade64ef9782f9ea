"""Tests of slash80.agent.serve."""
