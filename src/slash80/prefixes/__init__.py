"""Where a node's prefixes come from: one file for each source, each of which hands in a `PrefixReport`."""
