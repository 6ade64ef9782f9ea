"""Tests of the room `cni`."""
