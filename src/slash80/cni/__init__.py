"""The CNI protocol: what a runtime sends and what it gets back, for every version of the specification."""
