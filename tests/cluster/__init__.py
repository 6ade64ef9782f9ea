"""Tests on real Kubernetes clusters."""
