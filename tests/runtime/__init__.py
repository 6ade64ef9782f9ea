"""The runtime tier: the plugin as shipped, under a containerd that has a machine of its own."""
