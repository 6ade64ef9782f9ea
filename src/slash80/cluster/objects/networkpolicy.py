"""NetworkPolicies: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/.

A policy that is left out would open what it closes. So one that cannot be understood is a policy as well, with the
reason in `broken`: it isolates the pods that it selects, or all of its namespace where that cannot be told, and allows
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from slash80.addressing.ports import BY_NAME, LAST_PORT
from slash80.cluster.objects.labels import read_selector
from slash80.cluster.objects.reading import (
    Document,
    Unreadable,
    mapping,
    mappings,
    named,
    prefixes,
    text,
    texts,
    within,
)
from slash80.errors import shown
from slash80.policy.model import Block, NamedPort, Peer, Policy, Port, Ports, Rule, Selected, Selector

_MOST = 10_000  # entries of each list; an object in etcd has 1.5 MiB at most
_SETS = 1_000  # of pods: to load sets takes the square of their number, 2 s with 4,000 and a minute with 20,000
_INGRESS, _EGRESS = "Ingress", "Egress"
_BOTH = frozenset({_INGRESS, _EGRESS})
_PEERS = {_INGRESS: "from", _EGRESS: "to"}
_MISREAD = (LookupError, RecursionError, TypeError, ValueError)
T = TypeVar("T")


def read_network_policy(document: Document) -> Policy:
    """Return a NetworkPolicy; raise Unreadable only where the object does not say its name."""
    namespace, name = named(document)
    parts = _Parts()
    spec = parts.read("", partial(mapping, document, "spec"))
    if spec is None:
        return Policy(namespace, name, Selector(), (), (), parts.fault)
    pods = parts.read("spec.", partial(read_selector, spec, "podSelector")) or Selector()
    types = parts.read("spec.", partial(_types, spec)) or _BOTH
    rules = {kind: parts.read("spec.", partial(_rules, spec, kind)) or () for kind in sorted(types)}
    if parts.fault:
        rules = dict.fromkeys(types, ())
    return Policy(namespace, name, pods, rules.get(_INGRESS), rules.get(_EGRESS), parts.fault)


class _Parts:
    """Reads one part after the other; `fault` is why the first of those failed that could not be read."""

    def __init__(self) -> None:
        self.fault = ""

    def read(self, where: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except _MISREAD as error:
            self.fault = self.fault or f"{where}{error}"
            return None


def _types(spec: Mapping[str, Any]) -> frozenset[str]:
    """Return the directions; without any it is ingress, and egress where there are rules for it."""
    found = texts(spec, "policyTypes", most=_MOST)
    if unknown := sorted({*found} - _BOTH):
        raise Unreadable(f"policyTypes has {shown(unknown[0])}, which is neither Ingress nor Egress")
    return frozenset(found) or (_BOTH if mappings(spec, "egress", most=_MOST) else frozenset({_INGRESS}))


def _rules(spec: Mapping[str, Any], kind: str) -> tuple[Rule, ...]:
    found = tuple(_each(spec, kind.lower(), partial(_rule, peers=_PEERS[kind])))
    # Each selector with each port is a rule of the firewall: one object could ask every node for millions of them.
    pairs = sum(max(1, _selectors(rule)) * max(1, len(rule.ports or ())) for rule in found)
    if pairs > _MOST:
        raise Unreadable(
            f"{kind.lower()} combines selectors and ports in {pairs} ways, more than {_MOST}; "
            "list ranges of ports (endPort), or select several pods by one selector"
        )
    if (sets := sum(map(_sets, found))) > _SETS:
        raise Unreadable(f"{kind.lower()} needs {sets} sets of pods, more than {_SETS}; select several by one selector")
    return found


def _sets(rule: Rule) -> int:
    """Return how many sets of pods a rule may need: one for each selector, and for each with each name of a port."""
    named = sum(isinstance(port, NamedPort) for port in rule.ports or ())
    return _selectors(rule) + named * max(1, _selectors(rule))


def _selectors(rule: Rule) -> int:
    return sum(isinstance(peer, Selected) for peer in rule.peers or ())


def _rule(document: Mapping[str, Any], *, peers: str) -> Rule:
    """Read a rule; of peers and of ports a list that is missing or empty is any."""
    found = [peer for peer in _each(document, peers, _peer) if peer is not None]
    return Rule(
        peers=tuple(found) if document.get(peers) else None,
        ports=tuple(_each(document, "ports", _port)) or None,
    )


def _peer(document: Mapping[str, Any]) -> Peer | None:
    """Read a peer; None where it says nothing, which matches nothing."""
    pods, namespaces = read_selector(document, "podSelector"), read_selector(document, "namespaceSelector")
    selected = pods is not None or namespaces is not None
    if document.get("ipBlock") is None:
        return Selected(namespaces, pods) if selected else None
    if selected:
        raise Unreadable("ipBlock stands beside a selector; only one of them may")
    block = mapping(document, "ipBlock")
    with within("ipBlock"):
        # not strict: the API server takes prefixes with host bits, and means what is without them
        (prefix,) = prefixes([text(block, "cidr")])
        return Block(prefix, tuple(prefixes(texts(block, "except", most=_MOST))))


def _port(document: Mapping[str, Any]) -> Port:
    written, port, last = text(document, "protocol") or "TCP", document.get("port"), document.get("endPort")
    protocol = BY_NAME.get(written.lower())
    if protocol is None or not written.isupper():
        raise Unreadable(f"protocol is {shown(written)}, which is neither TCP, UDP nor SCTP")
    if isinstance(port, str) and port and last is None:
        return NamedPort(protocol, port)
    if port is None and last is None:
        return Ports(protocol)
    first = _number("port", port)
    return Ports(protocol, first, _number("endPort", last, first) if last is not None else first)


def _number(key: str, value: object, lowest: int = 1) -> int:
    if type(value) is not int or not lowest <= value <= LAST_PORT:
        raise Unreadable(f"{key} is {shown(value)}, but must be a port from {lowest} to {LAST_PORT}")
    return value


def _each(parent: Mapping[str, Any], key: str, read: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
    for number, entry in enumerate(mappings(parent, key, most=_MOST)):
        with within(f"{key}[{number}]"):
            yield read(entry)
