"""What should be so on a node, from values alone."""
