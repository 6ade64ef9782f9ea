"""What keeps a node of a Kubernetes cluster as it should be: one file for each part, each with a runner of its own."""
