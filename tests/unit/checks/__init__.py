"""The checks of the tree itself."""
