"""The parts that keep a node of a Kubernetes cluster as it should be."""
