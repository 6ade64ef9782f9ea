"""The kinds of objects."""
