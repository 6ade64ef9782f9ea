"""What can be believed of a Node by itself, beside the settings and what this node knows of itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from slash80.addressing.family import Address, Prefix
from slash80.cluster.objects.node import NodeSeen
from slash80.desired.claims import Claim
from slash80.desired.problems import Problem, Reason
from slash80.desired.spans import NOBODYS, Union, number, span

_NOBODYS = Union(NOBODYS)
_LENGTHS = {4: (16, 30), 6: (64, 120)}
SPEC, ANNOTATION = 0, 1
Why = tuple[Reason, str]


@dataclass(frozen=True, slots=True)
class Own:
    """What this node knows of itself; of each prefix whether it is from `spec.podCIDRs`."""

    seniority: tuple[str, str]
    addresses: tuple[Address, ...] = ()
    prefixes: tuple[tuple[Prefix, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What others are held against: the prefixes of cluster and nodes, empty if not known, the Services', this node."""

    cluster: tuple[Prefix, ...] = ()
    services: tuple[Prefix, ...] = ()
    nodes: tuple[Prefix, ...] = ()
    own: Own = Own(("", ""))


@dataclass(slots=True)
class Known:
    """A node, what it may claim and the addresses it may have as far as it alone tells, and what is wrong with it."""

    node: NodeSeen
    claims: list[Claim] = field(default_factory=list)
    addresses: dict[int, Address] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class Examiner:
    """Examines one node after the other. What is fine takes two searches; reasons are looked for where it is not."""

    def __init__(self, bounds: Bounds) -> None:
        """Prepare the searches."""
        self._bounds = bounds
        mine = [prefix for prefix, _ in bounds.own.prefixes]
        self._cluster, self._nodes = Union(bounds.cluster), Union(bounds.nodes)
        self._mine, self._taken = Union([*NOBODYS, *mine]), Union([*NOBODYS, *bounds.services, *mine])

    def examine(self, node: NodeSeen) -> Known:
        """Return what can be believed."""
        known = Known(node, problems=unread(node))
        for address in node.addresses:
            self._examine_address(known, address)
        for place, prefix in enumerate(node.pod_cidrs):
            self._examine_claim(known, prefix, (SPEC, node.created, node.name, place))
        # without bounds a kubelet could draw any traffic to its node
        for place, prefix in enumerate(node.announced if self._bounds.cluster else ()):
            if prefix not in node.pod_cidrs:
                self._examine_claim(known, prefix, (ANNOTATION, node.created, node.name, place))
        return known

    def _examine_address(self, known: Known, address: Address) -> None:
        place = number(address)
        if self._mine.meets(place, place):
            why = "it lies in a prefix of this node" if is_usable(address) else "no node can have it"
            known.problems.append(ignored_address(known.node.name, address, why))
        elif not self._bounds.nodes or self._nodes.holds(place, place):
            # outside nodePrefixes are addresses for outsiders, too, as clouds list them: not wrong, and not trusted
            known.addresses[place] = address

    def _examine_claim(self, known: Known, prefix: Prefix, rank: tuple[int, str, str, int]) -> None:
        first, last = span(prefix)
        claim = Claim(prefix, first, last, known.node, rank)
        shortest, longest = _LENGTHS[prefix.version]
        fits = shortest <= prefix.prefixlen <= longest and not self._taken.meets(first, last)
        if (fits and (not self._bounds.cluster or self._cluster.holds(first, last))) or (
            why := next(self._why_not(claim), None)
        ) is None:
            known.claims.append(claim)
        else:
            known.problems.append(refused(claim, *why))

    def _why_not(self, claim: Claim) -> Iterator[Why]:
        """Yield why a claim is not accepted, whatever other nodes claim."""
        length, (shortest, longest) = claim.prefix.prefixlen, _LENGTHS[claim.prefix.version]
        if length < shortest:
            yield Reason.PREFIX_TOO_SHORT, f"it is shorter than /{shortest}"
        if length > longest:
            yield Reason.PREFIX_UNUSABLE, f"it is longer than /{longest}, so it has no addresses for pods"
        if _NOBODYS.meets(claim.first, claim.last):
            yield Reason.PREFIX_UNUSABLE, "no pod can have an address there"
        if self._bounds.cluster and not self._cluster.holds(claim.first, claim.last):
            yield Reason.PREFIX_OUTSIDE_CLUSTER, "it lies outside clusterPrefixes"
        for services in self._bounds.services:
            if services.overlaps(claim.prefix):
                yield Reason.PREFIX_OVERLAPS_SERVICES, f"it overlaps the Services' {services}"
        own = self._bounds.own
        for mine, of_spec in own.prefixes:
            # by the same rule as between others this node gives way: to an older one, and of its spec only to a spec
            give_way = claim.owner.seniority < own.seniority and (claim.rank[0] == SPEC or not of_spec)
            if mine.overlaps(claim.prefix) and not give_way:
                yield Reason.PREFIX_OVERLAPS_NODE, f"it overlaps {mine} of this node"


def is_usable(address: Address) -> bool:
    """Whether a node can have an address: not where it is multicast, loopback, link-local or unspecified."""
    place = number(address)
    return not _NOBODYS.meets(place, place)


def unread(node: NodeSeen) -> list[Problem]:
    """Return the problem of the parts of a Node that could not be read; none where all could."""
    if not node.faults:
        return []
    more = f", and {len(node.faults) - 1} more of its parts" if len(node.faults) > 1 else ""
    message = f"node {node.name}: {node.faults[0]}{more}; that is ignored"
    return [Problem(Reason.NODE_OBJECT_INVALID, node.name, message)]


def refused(claim: Claim, reason: Reason, words: str) -> Problem:
    """Return the problem of a claim that is not accepted."""
    message = f"prefix {claim.prefix} of node {claim.owner.name} is ignored: {words}"
    return Problem(reason, str(claim.prefix), message)


def ignored_address(name: str, address: Address, why: str) -> Problem:
    """Return the problem of an address that is not accepted."""
    return Problem(Reason.NODE_ADDRESS_UNUSABLE, name, f"address {address} of node {name} is ignored: {why}")
