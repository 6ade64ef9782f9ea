"""Source `annotation`: `slash80.io/prefix-override` of the node's own object in Kubernetes."""

from __future__ import annotations

from slash80.cluster.objects.node import OVERRIDE, NodeSeen, listed
from slash80.desired.prefixes import PrefixReport
from slash80.desired.problems import Problem, Reason
from slash80.errors import shown

_NAME = "annotation"


def report(node: NodeSeen | None) -> PrefixReport:
    """Return the prefixes of the annotation; none while the node is not known."""
    if node is None:
        return PrefixReport(_NAME)
    try:
        return PrefixReport(_NAME, tuple(listed(node.override)))
    except ValueError as error:
        message = f"annotation {OVERRIDE} is {shown(node.override)}: {error}"
        return PrefixReport(_NAME, problem=Problem(Reason.PREFIX_SOURCE_FAILED, _NAME, message))
