"""The pure parts of what is tried on a bare machine."""
