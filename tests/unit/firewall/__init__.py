"""Tests of the room `firewall`."""
