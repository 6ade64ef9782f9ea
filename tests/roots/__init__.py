"""Tests of what is laid out on a node: in roots of many kinds, of which each is a node as far as files go."""
