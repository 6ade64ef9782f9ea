"""Commands for several clusters."""
