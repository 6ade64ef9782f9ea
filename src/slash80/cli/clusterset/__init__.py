"""`slash80 clusterset`: several clusters, by the contexts of a kubeconfig."""
