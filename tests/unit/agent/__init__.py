"""The agent, as far as it needs no kernel objects."""
