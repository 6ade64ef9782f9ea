"""Chain `control`: messages that a host takes from its routers and DHCP servers, and never from a pod."""

from __future__ import annotations

from collections.abc import Iterator

from slash80.firewall.records import IPPROTO_TCP, Chain

_DHCP_CLIENTS = (68, 546)  # RFC 2131, 4.1, and RFC 8415, 7.2: a client takes an answer from any port


def jumps() -> Iterator[str]:
    """Return the rules of `source` for where no packet of a pod may go, whatever the settings of its link are.

    portmap sets route_localnet on the host ends of pods with a host port, and then the node's 127.0.0.1 is one hop
    away. ::1 the kernel itself takes from no link but loopback (ip6_rcv_core). Most packets are of TCP: they are not
    asked further.
    """
    yield "ip daddr 127.0.0.0/8 counter drop"
    yield f"meta l4proto != {IPPROTO_TCP} jump control"


def chain() -> Chain:
    """Return the chain."""
    return Chain("control", tuple(_rules()))


def _rules() -> Iterator[str]:
    # A node with forwarding off, or accept_ra 2, follows the first; accept_redirects is 1 by default.
    yield "icmpv6 type nd-router-advert counter drop"
    yield "icmpv6 type nd-redirect counter drop"
    yield "icmp type redirect counter drop"
    yield "icmp type router-advertisement counter drop"
    yield from (f"udp dport {port} counter drop" for port in _DHCP_CLIENTS)
