"""Configuration from outside, checked by pydantic models: of a network, a node and the cluster."""
