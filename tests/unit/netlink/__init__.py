"""Tests of slash80.netlink."""
