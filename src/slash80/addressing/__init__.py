"""Which addresses, MACs and names a pod gets: pure decisions, no kernel, no file, no clock."""
