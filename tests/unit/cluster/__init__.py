"""The cluster's room."""
