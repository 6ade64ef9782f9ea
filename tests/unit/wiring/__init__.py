"""Tests of the room `wiring`."""
