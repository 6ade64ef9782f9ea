"""Reading the attachments back from the kernel: links carry who they belong to, host routes their addresses."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from slash80.addressing.attachment import Assignment, Attachment, read_alias
from slash80.addressing.family import FAMILIES, Address
from slash80.netlink.socket import Socket
from slash80.wiring import query, route_messages
from slash80.wiring.veth import is_ours, translated


def host_ends(host: Socket, *, allow_interrupted: bool = False) -> list[query.Link]:
    """Return all host ends of ours; with `allow_interrupted` those just created may be missing."""
    with translated():
        return [link for link in query.links(host, allow_interrupted=allow_interrupted) if is_ours(link)]


def attachments(host: Socket) -> Iterator[Attachment]:
    """Return what the kernel knows of all attachments; their MAC, sandbox and pod it does not know."""
    found = host_ends(host)
    held = _held(host) if found else {}
    for link in found:
        if owner := read_alias(link.alias):
            addresses = held.get(link.index, [])
            yield Attachment(
                key=owner[0],
                network=owner[1],
                assignment=Assignment(
                    ipv4=next((a for a in addresses if isinstance(a, IPv4Address)), None),
                    ipv6=next((a for a in addresses if isinstance(a, IPv6Address)), None),
                    mac=None,
                ),
                host_ifname=link.name,
            )


def _held(host: Socket) -> dict[int, list[Address]]:
    held: dict[int, list[Address]] = {}
    with translated():
        routes = [route for family in FAMILIES for route in query.routes(host, family)]
    for route in routes:
        if route.protocol == route_messages.PROTOCOL and route.dst.prefixlen == route.dst.max_prefixlen and route.index:
            held.setdefault(route.index, []).append(route.dst.network_address)
    return held
