"""NetworkPolicies in the words that people use for them; selectors as `kubectl get -l` takes them."""

from __future__ import annotations

from collections.abc import Iterable

from slash80.policy.model import Block, Direction, NamedPort, Operator, Peer, Port, Rule, Selector

_SIDE = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


def selector(one: Selector) -> str:
    """Write a selector, empty for one that selects everything."""
    parts = [f"{key}={value}" for key, value in one.labels]
    for requirement in one.requirements:
        values = ",".join(requirement.values)
        match requirement.operator:
            case Operator.IN:
                parts.append(f"{requirement.key} in ({values})")
            case Operator.NOT_IN:
                parts.append(f"{requirement.key} notin ({values})")
            case Operator.EXISTS:
                parts.append(requirement.key)
            case Operator.DOES_NOT_EXIST:
                parts.append(f"!{requirement.key}")
    return ",".join(parts)


def pods(namespace: str, one: Selector) -> str:
    """Return which pods of a namespace a policy selects."""
    return f"pods {selector(one)} of namespace {namespace}" if selector(one) else f"all pods of namespace {namespace}"


def rule(one: Rule, direction: Direction, namespace: str) -> str:
    """Return what a rule allows: `from pods app=web of namespace shop on tcp/80`."""
    side = _SIDE[direction]
    if one.peers is None:
        peers = f"{side} everywhere"
    else:
        peers = f"{side} {_either(_peer(peer, namespace) for peer in one.peers)}"
    if one.ports is None:
        return f"{peers} on every port and protocol"
    return f"{peers} on {_either(map(port, one.ports))}"


def port(one: Port) -> str:
    """Write a port as the command line takes it."""
    if isinstance(one, NamedPort):
        return f"{one.protocol} port '{one.name}'"
    if one.all:
        return f"every {one.protocol} port"
    return f"{one.protocol}/{one.first}" if one.first == one.last else f"{one.protocol}/{one.first}-{one.last}"


def _peer(peer: Peer, namespace: str) -> str:
    if isinstance(peer, Block):
        without = f" without {', '.join(map(str, peer.exceptions))}" if peer.exceptions else ""
        return f"{peer.prefix}{without}"
    which = f"pods {chosen}" if peer.pods and (chosen := selector(peer.pods)) else "all pods"
    if peer.namespaces is None:
        return f"{which} of namespace {namespace}"
    if chosen := selector(peer.namespaces):
        return f"{which} of namespaces {chosen}"
    return f"{which} of every namespace"


def _either(words: Iterable[str]) -> str:
    """Join words, and write `nothing` for an empty list."""
    return ", ".join(words) or "nothing"
