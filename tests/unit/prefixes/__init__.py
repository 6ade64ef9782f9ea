"""The sources of prefixes."""
