"""What should be so on a node, computed from values alone: no file, no packet, no clock."""
