"""What Kubernetes says and is told: the API over HTTP, watches, the objects' few fields that matter, whom to trust."""
