"""What is kept of the API's objects: one module a kind, each with a small frozen record and its reader. No I/O."""

from slash80.cluster.objects.node import NODES, OVERRIDE, PREFIXES, TAINT, UNAVAILABLE, NodeSeen, listed

__all__ = ["NODES", "OVERRIDE", "PREFIXES", "TAINT", "UNAVAILABLE", "NodeSeen", "listed"]
