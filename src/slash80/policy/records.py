"""What the policies' table has to have, as plain values that compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slash80.addressing.family import Address
from slash80.addressing.ports import Protocol
from slash80.policy.direction import Direction

Range = tuple[Address, Address]  # first and last
NumberedPort = tuple[Address, Protocol, int]
Member = Address | Range | NumberedPort

ACCEPT, CLOSED = "accept", "closed"  # verdicts that need no policy: everything, or nothing
# Chains that every table has: where packets end that no rule of a chain accepts.
DROPPED = {direction: f"dropped_{direction}" for direction in Direction}
SELF = {4: "self4", 6: "self6"}  # sets of pairs of one address: a pod that reaches itself through a Service


@dataclass(frozen=True, slots=True)
class PeerSet:
    """A set: nft's type of its keys, and its members; those of an `interval` set are disjoint ranges.

    The set's name implies all but the members.
    """

    type: str
    members: frozenset[Member]
    interval: bool = False


@dataclass(frozen=True, slots=True)
class Dispatched:
    """A key of the maps that lead an endpoint's packets to its chain: which map follows from direction and address."""

    direction: Direction
    ifname: str
    address: Address

    def __hash__(self) -> int:
        """Compare by the link, which has four keys; to hash an address takes longer than all the rest of a lookup."""
        return hash(self.ifname)


@dataclass(frozen=True, slots=True)
class PolicyRules:
    """Sets and chains by name, and for each key ACCEPT, CLOSED or the name of a chain.

    A chain never changes: its name has a hash of its rules, which are in nft's words; where no rule accepts, its last
    one goes to the chain that drops. A set's name says what it selects, and its members come and go.
    """

    sets: Mapping[str, PeerSet] = field(default_factory=dict)
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    verdicts: Mapping[Dispatched, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What leads from the rules in force to others, in the order in which one transaction does it."""

    new_sets: Mapping[str, PeerSet] = field(default_factory=dict)
    added: Mapping[str, frozenset[Member]] = field(default_factory=dict)
    deleted: Mapping[str, frozenset[Member]] = field(default_factory=dict)
    new_chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    verdicts: Mapping[Dispatched, str] = field(default_factory=dict)
    forgotten: frozenset[Dispatched] = frozenset()
    old_chains: frozenset[str] = frozenset()
    old_sets: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        parts = (self.new_sets, self.added, self.deleted, self.new_chains, self.verdicts, self.forgotten)
        return not any((*parts, self.old_chains, self.old_sets))
