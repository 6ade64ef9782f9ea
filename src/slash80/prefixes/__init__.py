"""Where a node's prefixes come from: one file for each source, and the choice between them."""
