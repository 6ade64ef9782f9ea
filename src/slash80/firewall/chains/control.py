"""Chain `control`: messages that a host takes from its routers and DHCP servers, and never from a pod."""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import IPV4, IPV6
from slash80.firewall.drops import dropped
from slash80.firewall.records import IPPROTO_TCP, Chain

_DHCP_CLIENTS = ((IPV4, 68), (IPV6, 546))  # RFC 2131, 4.1, and RFC 8415, 7.2: a client takes an answer from any port


def jumps() -> Iterator[str]:
    """Return the rules of `source` for where no packet of a pod may go, whatever the settings of its link are.

    portmap sets route_localnet on the host ends of pods with a host port, and then the node's 127.0.0.1 is one hop
    away. ::1 the kernel itself takes from no link but loopback (ip6_rcv_core). Most packets are of TCP: they are not
    asked further.
    """
    yield from dropped("loopback", "ip daddr 127.0.0.0/8", family=IPV4)
    yield f"meta l4proto != {IPPROTO_TCP} jump control"


def chain() -> Chain:
    """Return the chain."""
    return Chain("control", tuple(_rules()))


def _rules() -> Iterator[str]:
    # A node with forwarding off, or accept_ra 2, follows the first; accept_redirects is 1 by default.
    for kind in ("nd-router-advert", "nd-redirect"):
        yield from dropped("control", f"icmpv6 type {kind}", family=IPV6)
    for kind in ("redirect", "router-advertisement"):
        yield from dropped("control", f"icmp type {kind}", family=IPV4)
    for family, port in _DHCP_CLIENTS:
        yield from dropped("control", f"meta nfproto {family.key} udp dport {port}", family=family)
