"""Kubernetes' own end-to-end tests, run on a cluster with slash80."""
