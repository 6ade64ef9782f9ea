"""Attacks that are made for real, from outside and from pods: each is what docs/SECURITY.md says is stopped."""
