"""Families of policies as cyclonus generates them: each peer with each port in each direction, and who is meant by it.

The subject is x/a. Beside each part of a policy stands in plain Python whom or what it means, a third reading beside
those of the source; a policy of two parts means what both mean.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Peers:
    """Entries of `from` or `to`, None where the key is missing, and which pods are meant by namespace and name."""

    name: str
    entries: list[Spec] | None
    means: Callable[..., bool]

    def __str__(self) -> str:
        """Name it in a test's parameters."""
        return self.name


@dataclass(frozen=True)
class PortList:
    """Entries of `ports`, and which ports of which protocol of the model's pods are meant."""

    name: str
    entries: list[Spec] | None
    means: Callable[[int, str], bool]


def _labels(**labels: str) -> Spec:
    return {"matchLabels": labels}


def _expression(key: str, operator: str, *values: str) -> Spec:
    return {"matchExpressions": [{"key": key, "operator": operator} | ({"values": list(values)} if values else {})]}


_PEER: dict[str, tuple[Spec, Callable[..., bool]]] = {
    "all-own": ({"podSelector": {}}, lambda ns, _: ns == "x"),
    "own-b": ({"podSelector": _labels(pod="b")}, lambda ns, pod: (ns, pod) == ("x", "b")),
    "own-in": ({"podSelector": _expression("pod", "In", "b", "c")}, lambda ns, pod: ns == "x" and pod in "bc"),
    "every": ({"namespaceSelector": {}}, lambda *_: True),
    "ns-y": ({"namespaceSelector": _labels(ns="y")}, lambda ns, _: ns == "y"),
    "ns-not-x": ({"namespaceSelector": _expression("ns", "NotIn", "x")}, lambda ns, _: ns != "x"),
    "every-b": ({"namespaceSelector": {}, "podSelector": _labels(pod="b")}, lambda _, pod: pod == "b"),
    "y-b": (
        {"namespaceSelector": _labels(ns="y"), "podSelector": _labels(pod="b")},
        lambda ns, pod: (ns, pod) == ("y", "b"),
    ),
    "y-all": ({"namespaceSelector": _labels(ns="y"), "podSelector": {}}, lambda ns, _: ns == "y"),
    "not-x-in": (
        {"namespaceSelector": _expression("ns", "NotIn", "x"), "podSelector": _expression("pod", "In", "a", "c")},
        lambda ns, pod: ns != "x" and pod in "ac",
    ),
    "absent": ({"podSelector": _expression("absent", "DoesNotExist")}, lambda ns, _: ns == "x"),
    "exists": ({"namespaceSelector": {}, "podSelector": _expression("absent", "Exists")}, lambda *_: False),
    "block-host": ({"ipBlock": {"cidr": "$y/b"}}, lambda ns, pod: (ns, pod) == ("y", "b")),
    "block-all": ({"ipBlock": {"cidr": "$y/b/0"}}, lambda *_: True),
    "block-except": ({"ipBlock": {"cidr": "$y/b/4", "except": ["$y/b"]}}, lambda *of: of != ("y", "b")),
    "block-nothing": ({"ipBlock": {"cidr": "$y/b", "except": ["$y/b"]}}, lambda *_: False),
}


def _either(one: Callable[..., bool], other: Callable[..., bool]) -> Callable[..., bool]:
    return lambda *of: one(*of) or other(*of)


def _pairs() -> Iterator[Peers]:
    """Yield each peer with the next one: two entries are a union."""
    names = list(_PEER)
    for one, other in zip(names, [*names[1:], names[0]], strict=True):
        entries = [_PEER[one][0], _PEER[other][0]]
        yield Peers(f"{one}+{other}", entries, _either(_PEER[one][1], _PEER[other][1]))


PEERS: tuple[Peers, ...] = (
    Peers("missing", None, lambda *_: True),
    Peers("empty", [], lambda *_: True),
    *(Peers(name, [entry], means) for name, (entry, means) in _PEER.items()),
    *_pairs(),
)


def _port(protocol: str | None = None, port: int | str | None = None, last: int | None = None) -> Spec:
    written = {"protocol": protocol, "port": port, "endPort": last}
    return {key: value for key, value in written.items() if value is not None}


PORTS: tuple[PortList, ...] = (
    PortList("missing", None, lambda *_: True),
    PortList("empty", [], lambda *_: True),
    PortList("default", [_port()], lambda _, protocol: protocol == "TCP"),
    PortList("tcp", [_port("TCP")], lambda _, protocol: protocol == "TCP"),
    PortList("udp", [_port("UDP")], lambda _, protocol: protocol == "UDP"),
    PortList("sctp", [_port("SCTP")], lambda _, protocol: protocol == "SCTP"),
    PortList("80", [_port(None, 80)], lambda *of: of == (80, "TCP")),
    PortList("udp-80", [_port("UDP", 80)], lambda *of: of == (80, "UDP")),
    PortList("sctp-81", [_port("SCTP", 81)], lambda *of: of == (81, "SCTP")),
    PortList("named", [_port(None, "serve-81-tcp")], lambda *of: of == (81, "TCP")),
    PortList("named-udp", [_port("UDP", "serve-80-udp")], lambda *of: of == (80, "UDP")),
    PortList("named-wrongly", [_port("TCP", "serve-80-udp")], lambda *_: False),
    PortList("unserved-name", [_port("TCP", "serve-7981-tcp")], lambda *_: False),
    PortList("unserved", [_port("TCP", 7981)], lambda *_: False),
    PortList("range-to-80", [_port("TCP", 53, 80)], lambda *of: of == (80, "TCP")),
    PortList("range-to-84", [_port("UDP", 53, 84)], lambda _, protocol: protocol == "UDP"),
    PortList("two", [_port("TCP", 80), _port("UDP", 81)], lambda *of: of in {(80, "TCP"), (81, "UDP")}),
    PortList(
        "name-and-sctp", [_port("TCP", "serve-80-tcp"), _port("SCTP")], lambda *of: of[1] == "SCTP" or of == (80, "TCP")
    ),
)


def policy(direction: str, peers: Peers, ports: PortList) -> Spec:
    """Return the spec of the policy of x/a with one rule."""
    keys = {"from" if direction == "ingress" else "to": peers.entries, "ports": ports.entries}
    rule = {key: value for key, value in keys.items() if value is not None}
    return {
        "podSelector": _labels(pod="a"),
        "policyTypes": [direction.capitalize()],
        direction: [rule],
    }
