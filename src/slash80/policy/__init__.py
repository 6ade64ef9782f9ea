"""NetworkPolicy, pure: what Kubernetes says, what follows for a flow, and what the firewall has to have for it."""
