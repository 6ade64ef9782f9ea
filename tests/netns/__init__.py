"""Tests of the plugin on a site of network namespaces; they need root and touch nothing else."""
