"""Which prefixes of other nodes are accepted.

A kubelet may change its own Node object, so what a node says of itself could draw another one's traffic to it. Only the
controller manager, or a client with its rights, may set `spec.podCIDRs`, and only once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from slash80.addressing.family import Address, Prefix
from slash80.cluster.objects.node import NodeSeen, listed
from slash80.desired.problems import Problem, Reason

_SHORTEST = {4: 16, 6: 64}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a prefix is held against: the cluster's prefixes, if they are known, and the addresses of its Services."""

    cluster: tuple[Prefix, ...] = ()
    services: tuple[Prefix, ...] = ()


@dataclass(slots=True)
class Accepted:
    """The accepted prefixes of each node by name, and a problem for each prefix that is not."""

    prefixes: dict[str, tuple[Prefix, ...]] = field(default_factory=dict)
    rejected: list[Problem] = field(default_factory=list)


def accepted_prefixes(nodes: Iterable[NodeSeen], bounds: Bounds) -> Accepted:
    """Judge the prefixes of all nodes, the oldest node's first: a younger one cannot take what an older one has."""
    ordered = sorted(nodes, key=lambda node: node.seniority)
    held = {node.name: node.addresses for node in ordered}
    taken: list[tuple[Prefix, str]] = []
    result = Accepted()
    for node in ordered:
        kept = []
        for prefix in _claimed(node, bounds, result.rejected):
            others = {name: addresses for name, addresses in held.items() if name != node.name}
            if why_not := _why_not(prefix, bounds, taken=taken, others=others):
                reason, words = why_not
                message = f"prefix {prefix} of node {node.name} is ignored: {words}"
                result.rejected.append(Problem(reason, str(prefix), message))
            else:
                kept.append(prefix)
                taken.append((prefix, node.name))
        result.prefixes[node.name] = tuple(kept)
    return result


def _claimed(node: NodeSeen, bounds: Bounds, rejected: list[Problem]) -> Iterator[Prefix]:
    yield from node.pod_cidrs
    if not bounds.cluster:
        return
    try:
        yield from (prefix for prefix in listed(node.published) if prefix not in node.pod_cidrs)
    except ValueError as error:
        message = f"the annotation of node {node.name} is ignored: {error}"
        rejected.append(Problem(Reason.ANNOTATION_UNREADABLE, node.name, message))


def _why_not(
    prefix: Prefix, bounds: Bounds, *, taken: Sequence[tuple[Prefix, str]], others: dict[str, tuple[Address, ...]]
) -> tuple[Reason, str] | None:
    """Return why a prefix is not accepted; None when it is."""
    if prefix.prefixlen < _SHORTEST[prefix.version]:
        return Reason.PREFIX_TOO_SHORT, f"it is shorter than /{_SHORTEST[prefix.version]}"
    if bounds.cluster and not any(_inside(prefix, whole) for whole in bounds.cluster):
        return Reason.PREFIX_OUTSIDE_CLUSTER, "it lies outside clusterPrefixes"
    if hit := next((services for services in bounds.services if services.overlaps(prefix)), None):
        return Reason.PREFIX_OVERLAPS_SERVICES, f"it overlaps the Services' {hit}"
    if owner := next((name for other, name in taken if other.overlaps(prefix)), None):
        return Reason.PREFIX_OVERLAPS_NODE, f"it overlaps a prefix of node {owner}"
    for name, addresses in others.items():
        if hit_address := next((address for address in addresses if address in prefix), None):
            return Reason.PREFIX_HOLDS_NODE_ADDRESS, f"it holds the address {hit_address} of node {name}"
    return None


def _inside(prefix: Prefix, whole: Prefix) -> bool:
    return prefix.version == whole.version and prefix.subnet_of(whole)  # type: ignore[arg-type]
