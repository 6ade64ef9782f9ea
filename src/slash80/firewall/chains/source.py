"""Chain `source`: which addresses a pod may send from, namely those that are routed to it; and what it never sends."""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import FAMILIES
from slash80.firewall.chains import control, neighbours
from slash80.firewall.drops import dropped
from slash80.firewall.elements import pod_set
from slash80.firewall.records import IPPROTO_ICMPV6, PODS, TERMINATING, Chain, word

# In prerouting and not in forward, or a pod could still forge packets to its own node. Priority raw (-300) is before
# connection tracking (-200), whose state a forged RST would change, and after its defragmentation (-400).
_HOOK = "type filter hook prerouting priority raw; policy accept;"


def chain() -> Chain:
    """Return the chain."""
    return Chain("source", tuple(_rules()), _HOOK)


def _rules() -> Iterator[str]:
    yield f"iifname {TERMINATING} goto deleted"
    yield f"iifname != {PODS} goto forged"
    yield from control.jumps()
    # Every packet is asked, also of an established connection: connection tracking knows a connection by its addresses
    # and ports, not by the link that a packet came from, so a forged one would belong to it.
    # What ADD gave the pod: 0.1 us a packet, where `fib` takes 0.8 in IPv6. An element may be missing, as after
    # `nft flush set`: then the route says the same.
    yield from (f"iifname . {word(family)} saddr @{pod_set(family)} accept" for family in FAMILIES)
    # Neighbour discovery begins without an address: solicitations for duplicate address detection (RFC 4862, 5.4.2).
    yield f"ip6 saddr :: meta l4proto {IPPROTO_ICMPV6} accept"
    yield from neighbours.jumps()
    # Is there a route back to the source by the interface that it came in by? rp_filter asks the same, but for IPv4
    # only, as a sysctl that others set as well (the stricter of a link's and of `all` counts), and without a counter.
    yield from dropped("source", "fib saddr . iif oif missing")
