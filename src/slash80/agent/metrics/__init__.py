"""What Prometheus reads of an agent; loaded at the first scrape, since a node that is not scraped needs none of it."""
