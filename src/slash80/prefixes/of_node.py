"""Sources `annotation` and `spec`: what the node's own object in Kubernetes says."""

from __future__ import annotations

from slash80.addressing.family import Prefix
from slash80.cluster.objects import OVERRIDE, NodeSeen, listed
from slash80.errors import InvalidConfig, shown


def annotation(node: NodeSeen | None) -> list[Prefix]:
    """Give the prefixes of annotation `slash80.io/prefix-override`; raise InvalidConfig when it cannot be read."""
    if node is None:
        return []
    try:
        return listed(node.override)
    except ValueError as error:
        raise InvalidConfig(f"annotation {OVERRIDE} is {shown(node.override)}: {error}") from error


def spec(node: NodeSeen | None) -> list[Prefix]:
    """Give `spec.podCIDRs`."""
    return list(node.pod_cidrs) if node else []
