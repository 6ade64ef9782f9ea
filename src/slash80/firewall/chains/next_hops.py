"""Chain `next_hops`: how many hosts on the node's links a pod has the node look up.

A packet to an address of a link's subnet makes a neighbour, also where no host has the address, and the kernel's table
of neighbours is one for all links (`gc_thresh3`, 1024). A pod that scans the subnet would fill it within a second.
"""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import FAMILIES, Family
from slash80.firewall.drops import dropped
from slash80.firewall.rates import PODS_KEYS, over
from slash80.firewall.records import PODS, Chain, NamedSet, word

# Of type nat, to be asked for the first packet of a connection only.
_HOOK = "type nat hook postrouting priority srcnat - 50; policy accept;"
_SIZE, _KEPT = 65536, "1m"
# A neighbour that does not answer is there for three seconds; the kernel keeps one that did for a minute and more.
_RATE, _BURST = 20, 100


def sets(family: Family) -> Iterator[NamedSet]:
    """Return the set of pods' links and the hosts that these have reached in the last minute."""
    properties = f"size {_SIZE}; flags dynamic,timeout; timeout {_KEPT};"
    yield NamedSet(f"nexthops{family.version}", f"ifname . ipv{family.version}_addr", properties)


def chains() -> tuple[Chain, ...]:
    """Return the chains."""
    return Chain("unresolved", tuple(dropped("nexthops"))), Chain("next_hops", tuple(_rules()), _HOOK)


def _rules() -> Iterator[str]:
    yield f"iifname != {PODS} accept"
    yield f"oifname {PODS} accept"
    yield "meta oiftype != ether accept"  # tunnels resolve nothing, and have every destination as the next hop
    yield from (f"{_next_hop(family)} @nexthops{family.version} accept" for family in FAMILIES)
    yield f"{over('next_hops', 'iifname', rate=_RATE, burst=_BURST, keys=PODS_KEYS)} goto unresolved"
    yield from (f"add @nexthops{family.version} {{ {_next_hop(family)} }}" for family in FAMILIES)


def _next_hop(family: Family) -> str:
    return f"iifname . rt {word(family)} nexthop"
