"""Which prefixes of other nodes are believed.

A kubelet may change its own Node object, so what a node says of itself could make it the way to somebody else's
addresses. Only the controller manager, or who has its rights, may set `spec.podCIDRs`, and that once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from slash80.addressing.family import Address, Prefix
from slash80.cluster.objects import NodeSeen, listed

_SHORTEST = {4: 16, 6: 64}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a prefix is held against: the cluster's prefixes, if they are known, and the addresses of its Services."""

    cluster: tuple[Prefix, ...] = ()
    services: tuple[Prefix, ...] = ()


@dataclass(slots=True)
class Believed:
    """The prefixes of each node by name, and a sentence for each that is not believed."""

    prefixes: dict[str, tuple[Prefix, ...]] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)


def believe(nodes: Iterable[NodeSeen], bounds: Bounds) -> Believed:
    """Judge the prefixes of all nodes, the oldest node's first: who comes later cannot take what it has."""
    ordered = sorted(nodes, key=lambda node: node.seniority)
    held = {node.name: node.addresses for node in ordered}
    taken: list[tuple[Prefix, str]] = []
    result = Believed()
    for node in ordered:
        kept = []
        for prefix in _claimed(node, bounds, result.rejected):
            others = {name: addresses for name, addresses in held.items() if name != node.name}
            why_not = _why_not(prefix, bounds, taken=taken, others=others)
            if why_not:
                result.rejected.append(f"prefix {prefix} of node {node.name} is ignored: {why_not}")
            else:
                kept.append(prefix)
                taken.append((prefix, node.name))
        result.prefixes[node.name] = tuple(kept)
    return result


def _claimed(node: NodeSeen, bounds: Bounds, rejected: list[str]) -> Iterator[Prefix]:
    yield from node.pod_cidrs
    if not bounds.cluster:
        return
    try:
        yield from (prefix for prefix in listed(node.published) if prefix not in node.pod_cidrs)
    except ValueError as error:
        rejected.append(f"the annotation of node {node.name} is ignored: {error}")


def _why_not(
    prefix: Prefix, bounds: Bounds, *, taken: Sequence[tuple[Prefix, str]], others: dict[str, tuple[Address, ...]]
) -> str:
    """Say why a prefix is not believed; empty when it is."""
    if prefix.prefixlen < _SHORTEST[prefix.version]:
        return f"it is shorter than /{_SHORTEST[prefix.version]}"
    if bounds.cluster and not any(_inside(prefix, whole) for whole in bounds.cluster):
        return "it lies outside clusterPrefixes"
    if hit := next((services for services in bounds.services if services.overlaps(prefix)), None):
        return f"it overlaps the Services' {hit}"
    if owner := next((name for other, name in taken if other.overlaps(prefix)), None):
        return f"it overlaps a prefix of node {owner}"
    for name, addresses in others.items():
        if hit_address := next((address for address in addresses if address in prefix), None):
            return f"it holds the address {hit_address} of node {name}"
    return ""


def _inside(prefix: Prefix, whole: Prefix) -> bool:
    return prefix.version == whole.version and prefix.subnet_of(whole)  # type: ignore[arg-type]
