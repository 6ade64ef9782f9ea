"""Services across the clusters of a clusterset: what is exported, exchanged, merged and written."""
