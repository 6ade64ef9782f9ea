"""The agent: one process on a node that answers CNI calls with all that a call needs already open."""
