"""Real kind clusters on a machine without docker and registry: all of it is built here, and all of it goes."""
