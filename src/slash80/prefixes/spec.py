"""Source `spec`: `spec.podCIDRs` of the node's own object in Kubernetes."""

from __future__ import annotations

from slash80.cluster.objects.node import NodeSeen
from slash80.desired.prefixes import PrefixReport


def report(node: NodeSeen | None) -> PrefixReport:
    """Return `spec.podCIDRs`; none while the node is not known."""
    return PrefixReport("spec", node.pod_cidrs if node else ())
