"""Services across clusters."""
