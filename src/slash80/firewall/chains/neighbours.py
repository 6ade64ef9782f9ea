"""Chain `link_local`: how many addresses a pod may have that its node does not know, those of its link only.

The kernel learns a neighbour from each solicitation, and one more for each reply that it sends, and its table is one
for all links (`gc_thresh3`, 1024). A pod's link-local addresses are of its own choice, so their number is limited.
"""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import IPV6, Family
from slash80.firewall.drops import dropped
from slash80.firewall.records import Chain, NamedSet

_SIZE = 65536  # of links, and of senders; a full set lets no further one in
# A link gets one sender more every half a second, and keeps each for ten seconds: 20 at most. When the table is full
# the kernel drops entries that have not changed for five seconds (neigh_forced_gc in net/core/neighbour.c). A rate in
# the set's elements would allow a burst, but nft 0.9.8 crashes when it loads such elements again.
_PAUSE, _KEPT = "500ms", "10s"


def sets(family: Family) -> Iterator[NamedSet]:
    """Return the sets of link-local senders, and of links that had a new one just now; IPv4 has no such addresses."""
    if family.version == 6:
        properties = f"size {_SIZE}; flags dynamic,timeout;"
        yield NamedSet("linklocal6", "ifname . ipv6_addr", f"{properties} timeout {_KEPT};")
        yield NamedSet("newlinklocal6", "ifname", f"{properties} timeout {_PAUSE};")


def jumps() -> Iterator[str]:
    """Return the rule of `source` for what is left when a pod's own addresses were accepted."""
    yield "ip6 saddr fe80::/10 goto link_local"


def chain() -> Chain:
    """Return the chain."""
    return Chain("link_local", tuple(_rules()))


def _rules() -> Iterator[str]:
    yield "iifname . ip6 saddr @linklocal6 accept"
    yield from dropped("neighbours", "iifname @newlinklocal6", family=IPV6)
    yield "add @newlinklocal6 { iifname } add @linklocal6 { iifname . ip6 saddr } accept"
    yield from dropped("neighbours", family=IPV6)
