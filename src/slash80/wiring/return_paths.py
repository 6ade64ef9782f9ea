"""By which links the node answers: its own addresses, and IPv6 routes with several links."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from ipaddress import IPv6Network, ip_network
from itertools import permutations

from slash80.addressing.family import IPV6, Address, Prefix
from slash80.netlink.socket import Socket
from slash80.wiring import query, steps

_EVERY_LINK = 0
_LINK_LOCAL = IPv6Network("fe80::/10")  # every link has the same
_PLAIN = re.compile(r"[\w.:@-]+", re.ASCII)  # names that mean themselves in a rule


def own_addresses(host: Socket) -> list[Address]:
    """Return the node's addresses, but for those that mean something on their link only."""
    found = query.addresses(host, _EVERY_LINK)
    return [one.address for one in found if one.scope < steps.RT_SCOPE_LINK]


def own_subnets(host: Socket) -> list[Prefix]:
    """Return the subnets in which the node has addresses, but for those that mean something on their link only."""
    found = query.addresses(host, _EVERY_LINK)
    subnets = (
        ip_network(f"{one.address}/{one.length}", strict=False) for one in found if one.scope < steps.RT_SCOPE_LINK
    )
    return [*dict.fromkeys(subnets)]


def answered_by(host: Socket, address: Address) -> str:
    """Return the name of the link by which the node sends to an address."""
    route = query.route_lookup(host, address)
    link = query.link_at(host, route.index) if route else None
    return link.name if link else "no link"


def multipath(host: Socket) -> set[tuple[str, str]]:
    """Return every ordered pair of links that one IPv6 route leads by: as one route, or as equal ones.

    The kernel keeps default routes that it learned from two routers apart, and sends by whichever it reaches.
    """
    ways: dict[tuple[int, Prefix, int], set[int]] = defaultdict(set)
    for route in query.foreign_routes(host, IPV6):
        # a kernel without IPv6 answers with the routes of all families
        if isinstance(route.dst, IPv6Network) and not route.dst.subnet_of(_LINK_LOCAL):
            ways[route.table, route.dst, route.priority].update(route.links)
    return _named(host, (links for links in ways.values() if len(links) > 1))


def _named(host: Socket, groups: Iterable[set[int]]) -> set[tuple[str, str]]:
    pairs = {pair for links in groups for pair in permutations(links, 2)}
    found = [query.link_at(host, index) for index in {index for pair in pairs for index in pair}]
    names = {link.index: link.name for link in found if link and _PLAIN.fullmatch(link.name)}
    return {(names[came_by], names[leads_by]) for came_by, leads_by in pairs if {came_by, leads_by} <= names.keys()}
