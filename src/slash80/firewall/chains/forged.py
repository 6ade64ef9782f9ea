"""Chain `forged`: packets from outside with a source that is the node's own."""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import FAMILIES, Family
from slash80.firewall.drops import dropped
from slash80.firewall.records import Chain, NamedSet, word


def own_set(family: Family) -> str:
    """Return the name of the set of the node's prefixes and addresses."""
    return f"own{family.version}"


OWN_SETS = tuple(map(own_set, FAMILIES))


def sets(family: Family) -> Iterator[NamedSet]:
    """Return the set of what is the node's own; its elements follow from the node, since each network has prefixes."""
    yield NamedSet(own_set(family), f"ipv{family.version}_addr", "flags interval;")


def chain() -> Chain:
    """Return the chain, to which `source` sends every packet that is not a pod's."""
    return Chain("forged", tuple(_rules()))


def _rules() -> Iterator[str]:
    yield 'iifname "lo" accept'  # what the node sends to itself
    # By name, since no route tells the node's own unused addresses from addresses of no host; and by the route, since a
    # subnet of one of the node's links may lie in a prefix, and an address may have moved to another host.
    for family in FAMILIES:
        away = f"{word(family)} saddr @{own_set(family)} fib saddr . iif oif missing"
        yield from dropped("forged", away, family=family)
