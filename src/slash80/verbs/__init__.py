"""The verbs of CNI."""
