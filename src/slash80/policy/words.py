"""A policy's rules in nft's words, and the sets that these name.

The port is compared before the address is looked up, which makes a rule that does not match four times cheaper. Sets
always have a name: nf_tables compares each new set with all of its table, so that one for each rule would take seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from hashlib import sha256

from slash80.addressing.family import Family
from slash80.addressing.ports import PROTOCOLS, Protocol
from slash80.policy import blocks
from slash80.policy.model import (
    Block,
    Direction,
    Labels,
    NamedPort,
    Peer,
    Pod,
    Policy,
    Port,
    Ports,
    Rule,
    Selected,
    Selector,
)
from slash80.policy.records import DROPPED, SELF, Member, PeerSet, Range

_HEADERS = {4: "ip", 6: "ip6"}
_TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}


@dataclass(frozen=True)
class Selection:
    """Pods that a set has: those of one `namespace`, or of the ones that `namespaces` selects.

    With a `port` the set has their addresses together with the number that each gives to this name.
    """

    namespace: str
    namespaces: Selector | None
    pods: Selector
    port: NamedPort | None = None

    @classmethod
    def of(cls, peer: Selected, policy: Policy) -> Selection:
        """Return what a peer selects; equal for equal selectors of different policies, so that they share a set."""
        own = "" if peer.namespaces else policy.namespace
        return cls(own, _sorted(peer.namespaces), _sorted(peer.pods) or Selector())

    @cached_property
    def key(self) -> str:
        """A hash of what is selected."""
        return _hashed(astuple(self))

    def name(self, family: Family) -> str:
        """Return the name of the set with one family's addresses."""
        return f"{'n' if self.port else 'a'}{family.version}-{self.key}"

    def type(self, family: Family) -> str:
        """Return nft's type of the set's keys."""
        return _TYPES[family.version] + (" . inet_proto . inet_service" if self.port else "")

    def selects_namespace(self, name: str, labels: Labels) -> bool:
        """Report whether pods of a namespace may belong to it."""
        return self.namespaces.matches(labels) if self.namespaces else name == self.namespace

    def number(self, pod: Pod) -> int | None:
        """Return the number that a pod gives to the port."""
        return pod.ports.get((self.port.name, self.port.protocol)) if self.port else None


@dataclass(frozen=True, slots=True)
class Words:
    """Rules, and the sets that they name: those of pods, whose members change, and those of blocks."""

    rules: tuple[str, ...]
    selections: tuple[Selection, ...] = ()
    ranges: tuple[tuple[Range, ...], ...] = ()


EVERY_POD = Selection("", Selector(), Selector())
_Term = tuple[str, Selection | tuple[Range, ...] | None]  # words, and the set that they name


def rules_of(
    policy: Policy, direction: Direction, family: Family, *, names: Mapping[tuple[str, Protocol], int]
) -> Words:
    """Return what a policy allows; `names` are the ports of the pod that it is for."""
    rules, selections, spans = [], [], []
    for rule in policy.rules(direction) or ():
        for terms in () if policy.broken else _Rule(policy, direction, family, names).alternatives(rule):
            rules.append(" ".join([*(words for words, _ in terms if words), "accept"]))
            selections += [one for _, one in terms if isinstance(one, Selection)]
            spans += [one for _, one in terms if isinstance(one, tuple)]
    return Words(tuple(rules), tuple(selections), tuple(spans))


def chain(direction: Direction, family: Family, rules: Iterable[str]) -> tuple[str, ...]:
    """Return the rules of a chain in order: what policies allow, what is always allowed, and the end."""
    found = sorted(set(rules), key=lambda words: ("@" in words, words))
    if "accept" in found:
        return ("accept",)
    header = _HEADERS[family.version]
    # A pod that reaches itself through a Service passes here before its source is rewritten, so both ends are its own.
    hairpin = f"{header} saddr . {header} daddr @{SELF[family.version]} accept"
    return *found, hairpin, f"goto {DROPPED[direction]}"


def chain_name(direction: Direction, family: Family, rules: tuple[str, ...]) -> str:
    """Return a chain's name, which has a hash of its rules."""
    return f"{direction[0]}{family.version}-{_hashed(rules)}"


def block_name(family: Family, spans: tuple[Range, ...]) -> str:
    """Return the name of a set of ranges, which has a hash of them: they never change."""
    return f"b{family.version}-{_hashed([[str(end) for end in span] for span in spans])}"


def block_set(family: Family, spans: tuple[Range, ...]) -> PeerSet:
    """Return a set of ranges."""
    return PeerSet(_TYPES[family.version], frozenset[Member](spans), interval=True)


def self_set(family: Family, members: Iterable[Range]) -> PeerSet:
    """Return the set of pods' addresses, each beside itself."""
    return PeerSet(f"{_TYPES[family.version]} . {_TYPES[family.version]}", frozenset[Member](members))


@dataclass(frozen=True, slots=True)
class _Rule:
    """What the words of a rule depend on beside the rule."""

    policy: Policy
    direction: Direction
    family: Family
    names: Mapping[tuple[str, Protocol], int]

    def alternatives(self, rule: Rule) -> Iterator[tuple[_Term, ...]]:
        """Yield the terms of one nft rule for each pair of a port and a peer."""
        peers = [None] if rule.peers is None else list(self._peers(rule.peers))
        for port in [None] if rule.ports is None else self._ports(rule.ports):
            for peer in peers:
                if isinstance(port, NamedPort) and isinstance(peer, Selection):
                    yield (self._named(replace(peer, port=port)),)
                else:
                    yield self._port(port), self._peer(peer)

    def _peers(self, peers: Iterable[Peer]) -> Iterator[Selection | tuple[Range, ...] | None]:
        """Yield selections, then the ranges of all blocks together; None is any peer."""
        found = tuple(peers)
        for peer in found:
            if isinstance(peer, Selected) and (peer.namespaces is not None or peer.pods is not None):
                yield Selection.of(peer, self.policy)
        of_blocks = [peer for peer in found if isinstance(peer, Block)]
        spans = blocks.ranges(of_blocks, self.family) if of_blocks else ()
        if spans:
            whole = self.family.everything
            yield None if spans == ((whole[0], whole[-1]),) else spans

    def _ports(self, ports: Iterable[Port]) -> Iterator[Ports | NamedPort]:
        """Yield ports, without those that no packet can have; a pod's own have numbers instead of names."""
        for port in ports:
            if isinstance(port, NamedPort):
                number = self.names.get((port.name, port.protocol))
                if self.direction is Direction.EGRESS:
                    yield port
                elif number is not None:
                    yield Ports(port.protocol, number, number)
            elif port.first <= port.last and port.protocol in PROTOCOLS:
                yield port

    def _port(self, port: Ports | NamedPort | None) -> _Term:
        if port is None:
            return "", None
        if isinstance(port, NamedPort):
            return self._named(replace(EVERY_POD, port=port))
        if port.all:
            return f"meta l4proto {int(port.protocol)}", None
        span = str(port.first) if port.first == port.last else f"{port.first}-{port.last}"
        return f"{port.protocol} dport {span}", None

    def _named(self, selection: Selection) -> _Term:
        # The protocol is part of the key, so what th reads of a packet without ports matches nothing.
        header, name = _HEADERS[self.family.version], selection.name(self.family)
        return f"{header} daddr . meta l4proto . th dport @{name}", selection

    def _peer(self, peer: Selection | tuple[Range, ...] | None) -> _Term:
        side = "daddr" if self.direction is Direction.EGRESS else "saddr"
        words = f"{_HEADERS[self.family.version]} {side}"
        if peer is None:
            return "", None
        if isinstance(peer, Selection):
            return f"{words} @{peer.name(self.family)}", peer
        if len(peer) == 1 and (prefix := blocks.prefix_of(peer[0])):
            return f"{words} {prefix}", None
        return f"{words} @{block_name(self.family, peer)}", peer


def _sorted(selector: Selector | None) -> Selector | None:
    if selector is None:
        return None
    requirements = (replace(one, values=tuple(sorted(set(one.values)))) for one in selector.requirements)
    return Selector(tuple(sorted(selector.labels)), tuple(sorted(set(requirements))))


def _hashed(value: object) -> str:
    """Return a hash of strings in lists; JSON keeps `a-b`, `c` and `a`, `b-c` apart."""
    return sha256(json.dumps(value).encode()).hexdigest()[:24]
