"""Which prefixes and addresses of other nodes are accepted.

A kubelet may write nearly all of its own Node, so each is hostile input: what is wrong with it costs that node only.

- `spec.podCIDRs` come before annotations, since they are set once, by the controller manager or at a node's
  registration; within each an older node's before a younger one's. What overlaps an accepted prefix is ignored.
- One kubelet speaks for one node, so a prefix in which two other nodes have prefixes or addresses is ignored.
- An address inside another node's prefix contradicts it. Which of the two is ignored depends on what this node knows
  for sure: where it is nearer to this node's addresses than to its prefixes, addresses are nodes', else they are pods'.
  Where both are equally near, the older node is believed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from slash80.addressing.family import Address, Prefix
from slash80.cluster.objects.node import NodeSeen
from slash80.desired.alone import Bounds, Examiner, Known, Why, ignored_address, refused
from slash80.desired.claims import Claim, Claims
from slash80.desired.problems import Problem, Reason
from slash80.desired.spans import Group, Groups, number, span

_TOLD = 8  # problems of one node: its kubelet could have any number of them
_MANY = 256  # changes from which on it is faster to judge all again
_FARTHEST = 130  # more bits than two addresses can differ in
_THIS = ""  # the name of this node among those that have an address


@dataclass(slots=True)
class Accepted:
    """The accepted prefixes and addresses of each node by name, and a problem for what is not accepted."""

    prefixes: dict[str, tuple[Prefix, ...]] = field(default_factory=dict)
    addresses: dict[str, tuple[Address, ...]] = field(default_factory=dict)
    problems: dict[str, list[Problem]] = field(default_factory=dict)

    @property
    def rejected(self) -> list[Problem]:
        """The problems of all nodes, in the order of their names."""
        return [problem for _, problems in sorted(self.problems.items()) for problem in problems]


class Judge:
    """Judges the nodes, and remembers: a node that has changed costs what it claims, and not what all nodes do."""

    def __init__(self) -> None:
        """Begin without nodes."""
        self._halfway = False
        self._begin(Bounds())

    def judge(self, nodes: Sequence[NodeSeen], bounds: Bounds) -> Accepted:
        """Return what is accepted of these nodes, valid until the next time. Their order has no effect."""
        known = self._known
        changed = [node for node in nodes if (one := known.get(node.name)) is None or one.node is not node]
        # where a mistake ended the last time, what is remembered may not fit together
        halfway, self._halfway = self._halfway, True
        if halfway or bounds != self._bounds or len(changed) > _MANY:
            self._begin(bounds)
            self._enter_all(nodes)
        else:
            for node in changed:
                self._withdraw(node.name)
                self._enter(node)
            if len(known) > len(nodes):
                for name in known.keys() - {node.name for node in nodes}:
                    self._withdraw(name)
        self._settle_all()
        for name in self._touched:
            self._conclude(name)
        self._touched.clear()
        self._halfway = False
        return self._accepted

    def overlapping(self, prefix: Prefix) -> Iterator[NodeSeen]:
        """Yield the nodes of which an accepted prefix overlaps this one."""
        yield from (claim.owner for claim in self._claims.overlapping(*span(prefix)) if not claim.refusal)

    def _begin(self, bounds: Bounds) -> None:
        self._bounds, self._accepted = bounds, Accepted()
        self._examiner, self._claims = Examiner(bounds), Claims()
        self._known: dict[str, Known] = {}
        self._own = {number(address): address for address in bounds.own.addresses}
        self._holders: dict[int, list[str]] = {place: [_THIS] for place in self._own}
        self._places = sorted(self._holders)  # of all nodes' addresses
        self._ignored: dict[Group[Claim], list[tuple[str, int]]] = {}
        self._out: dict[str, dict[int, Problem]] = {}  # addresses that lie in accepted prefixes of others, by node
        self._touched: set[str] = set()

    def _enter_all(self, nodes: Sequence[NodeSeen]) -> None:
        """Enter the first nodes: most claims are alone and have no address in them, and are accepted as they are."""
        claims: list[Claim] = []
        for node in nodes:
            known = self._known[node.name] = self._examiner.examine(node)
            claims += known.claims
            for place in known.addresses:
                self._holders.setdefault(place, []).append(node.name)
        self._places = sorted(self._holders)
        self._touched.update(self._known)
        for group in self._claims.begin(claims):
            if self._has_address(group[0]):
                self._claims.stale[group] = None

    def _enter(self, node: NodeSeen) -> None:
        known = self._known[node.name] = self._examiner.examine(node)
        self._touched.add(node.name)
        for place in known.addresses:
            if place not in self._holders:
                insort(self._places, place)
            self._holders.setdefault(place, []).append(node.name)
            self._look_again(place)
        for claim in known.claims:
            self._claims.enter(claim)

    def _withdraw(self, name: str) -> None:
        known = self._known.pop(name, None)
        if known is None:
            return
        self._touched.add(name)
        self._claims.withdraw(known.claims)
        for place in known.addresses:
            self._holders[place].remove(name)
            if not self._holders[place]:
                del self._holders[place], self._places[bisect_left(self._places, place)]
            self._look_again(place)

    def _look_again(self, place: int) -> None:
        if group := self._claims.holding(place):
            self._claims.stale[group] = None

    def _settle_all(self) -> None:
        claims = self._claims
        for group in claims.gone:
            self._forget(group)
        for claim in claims.apart:
            claim.refusal = refused(claim, Reason.PREFIX_OVERLAPS_NODE, "it holds prefixes of several other nodes")
            self._touched.add(claim.owner.name)
        for group in claims.stale:
            self._forget(group)
            self._settle(group)
        for done in (claims.gone, claims.apart, claims.stale):
            done.clear()

    def _forget(self, group: Group[Claim]) -> None:
        for name, place in self._ignored.pop(group, ()):
            self._out[name].pop(place, None)
            self._touched.add(name)

    def _settle(self, group: Group[Claim]) -> None:
        """Judge the claims of a group, the first in rank first, and what addresses of others lie in those accepted."""
        taken, ignored = Groups[Claim](), list[tuple[str, int]]()
        for claim in sorted(group, key=_rank):
            others = self._others_inside(claim)
            why_not = self._why_not(claim, taken, others)
            claim.refusal = refused(claim, *why_not) if why_not else None
            self._touched.add(claim.owner.name)
            if not why_not:
                taken.add(claim)
                why = f"it lies in the prefix {claim.prefix} of node {claim.owner.name}"
                for name, place in others:
                    problem = ignored_address(name, self._known[name].addresses[place], why)
                    self._out.setdefault(name, {})[place] = problem
                ignored += others
        self._touched.update(name for name, _ in ignored)
        if ignored:
            self._ignored[group] = ignored

    def _has_address(self, claim: Claim) -> bool:
        low = bisect_left(self._places, claim.first)
        return low < len(self._places) and self._places[low] <= claim.last

    def _others_inside(self, claim: Claim) -> list[tuple[str, int]]:
        """Return the addresses in a claim that other nodes have."""
        low, high = bisect_left(self._places, claim.first), bisect_right(self._places, claim.last)
        found = [(name, place) for place in self._places[low:high] for name in sorted(self._holders[place])]
        return [one for one in found if one[0] != claim.owner.name]

    def _why_not(self, claim: Claim, taken: Groups[Claim], others: Sequence[tuple[str, int]]) -> Why | None:
        """Return why a claim is not accepted beside those that were; None when it is."""
        if other := next(taken.meeting(claim.first, claim.last), None):
            return Reason.PREFIX_OVERLAPS_NODE, f"it overlaps a prefix of node {other.owner.name}"
        for name, place in others:
            if name == _THIS:
                return Reason.PREFIX_HOLDS_NODE_ADDRESS, f"it holds the address {self._own[place]} of this node"
        several = len({name for name, _ in others}) > 1
        for name, place in others:
            if several or self._is_a_nodes(name, place, claim):
                address = self._known[name].addresses[place]
                more = " and those of others" if several else ""
                return Reason.PREFIX_HOLDS_NODE_ADDRESS, f"it holds the address {address} of node {name}{more}"
        return None

    def _is_a_nodes(self, name: str, place: int, claim: Claim) -> bool:
        """Whether an address inside a claim of another node is believed rather than the claim."""
        to_nodes = min(((place ^ mine).bit_length() for mine in self._own), default=_FARTHEST)
        mine = [span(prefix)[0] for prefix, _ in self._bounds.own.prefixes]
        to_pods = min(((place ^ first).bit_length() for first in mine), default=_FARTHEST)
        if to_nodes != to_pods:
            return to_nodes < to_pods
        return self._known[name].node.seniority < claim.owner.seniority

    def _conclude(self, name: str) -> None:
        accepted, known = self._accepted, self._known.get(name)
        accepted.problems.pop(name, None)
        if known is None:
            accepted.prefixes.pop(name, None)
            accepted.addresses.pop(name, None)
            return
        out = self._out.get(name) or {}
        accepted.prefixes[name] = tuple([claim.prefix for claim in known.claims if claim.refusal is None])
        accepted.addresses[name] = tuple([one for place, one in known.addresses.items() if place not in out])
        problems = [
            *known.problems,
            *(claim.refusal for claim in known.claims if claim.refusal),
            *(out[place] for place in known.addresses if place in out),
        ]
        if problems:
            accepted.problems[name] = _told(name, problems)


def _rank(claim: Claim) -> tuple[int, str, str, int]:
    return claim.rank


def _told(name: str, problems: list[Problem]) -> list[Problem]:
    if len(problems) <= _TOLD:
        return problems
    message = f"node {name} has {len(problems) - _TOLD} further prefixes and addresses that are ignored; correct it"
    return [*problems[:_TOLD], Problem(Reason.NODE_OBJECT_INVALID, name, message)]
