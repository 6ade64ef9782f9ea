"""Links, addresses, routes, neighbours and sysctls: what a pod's wires are made of."""
