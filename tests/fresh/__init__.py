"""What each target needs, tried on a bare Debian."""
