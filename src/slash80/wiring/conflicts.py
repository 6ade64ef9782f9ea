"""Which addresses of the node's prefixes lead somewhere already, by routes of others and by what is on its links.

Another program's route that is as narrow as a prefix or narrower takes what it leads elsewhere. A wider one, which the
prefix is a part of, does no harm, unless it is the subnet of one of the node's links, with other hosts in it. In IPv4
any address there may be a host's, so the prefix is refused. In IPv6, where providers put a whole /64 on the link, a
prefix may be carved out of it, and only those addresses are left out that a neighbour is known to have. Routes that
discard packets lead nowhere.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence

from slash80.addressing.family import IPV6, Address, Prefix, family_of
from slash80.addressing.occupied import Occupied
from slash80.addressing.pool import Pool, Range
from slash80.netlink.socket import Socket
from slash80.wiring import address_messages, query, route_messages, route_text

_LOOKS = 16  # addresses of a pool that are tried
_LEVELS = 16  # by which a subnet may be wider than a prefix in it, if everything nearby is routed
_HOSTS = (int("5" * 32, 16), int("a" * 32, 16))  # bits of addresses that hardly anybody has


def routed_elsewhere(host: Socket, addresses: Sequence[Address], prefixes: Sequence[Prefix]) -> dict[Range, str]:
    """Return what the routes to these addresses, each of one of the prefixes, take of those; at a question each."""
    found = {}
    for address, way in zip(addresses, query.route_lookups(host, addresses), strict=True):
        prefix = next(prefix for prefix in prefixes if address in prefix)
        if way and _takes(host, way, prefix):
            found[_common(way.dst, prefix)] = f"route {route_text.route(host, way)} leads there"
    return found


def around(host: Socket, prefixes: Sequence[Prefix]) -> dict[Range, str]:
    """Return what the subnets of the node's links, in which the prefixes may lie, take of those.

    A question for each prefix; more where it lies in such a subnet, or among prefixes that are routed elsewhere.
    """
    found: dict[Range, str] = {}
    for prefix in prefixes:
        way = _containing(host, prefix)
        if way is None or not _is_on_link(host, way):
            continue
        if prefix.version == 4:
            found[Range.of(prefix)] = f"route {route_text.route(host, way)} leads there"
        else:
            found |= {Range(one, one): words for one, words in _hosts(host, way.index, prefix)}
    return found


def refuse(host: Socket, pools: Sequence[Pool]) -> None:
    """Raise BelongsToAnother when of one of the pools all leads elsewhere, as ADD would find out."""
    for pool in pools:
        known = Occupied(around(host, pool.prefixes))
        for _ in range(_LOOKS):
            more = routed_elsewhere(host, [part.first for part in known.left_of(pool)[:1]], pool.prefixes)
            if not more:
                break
            known.add(more)


def _takes(host: Socket, way: query.Route, prefix: Prefix) -> bool:
    """Report whether a route, found by an address of the prefix, leads that elsewhere."""
    if way.kind != route_messages.RTN_UNICAST:
        return way.kind not in route_messages.DISCARDING
    if way.protocol == route_messages.PROTOCOL and not way.gateway and way.dst.prefixlen == way.dst.max_prefixlen:
        return False  # to a pod; whose that is shows when a second route is refused
    if way.dst.prefixlen >= prefix.prefixlen:
        return True
    return prefix.version == 4 and _is_on_link(host, way)


def _is_on_link(host: Socket, way: query.Route) -> bool:
    """Report whether a route is a link's subnet, in which neighbours are asked for, and not a way through a tunnel."""
    if way.kind != route_messages.RTN_UNICAST or way.gateway or way.split or not way.dst.prefixlen:
        return False
    if way.protocol == route_messages.RTPROT_KERNEL:
        return True
    link = query.link_at(host, way.index)
    return link is not None and link.arp


def _containing(host: Socket, prefix: Prefix) -> query.Route | None:
    """Find the narrowest route that is wider than the prefix, and no default route.

    Not by an address of the prefix, which its cover hides, but by one beside it, or beside what contains it: a route
    that is wider leads there as well, unless a narrower one does.
    """
    low = prefix.max_prefixlen - prefix.prefixlen
    for level in range(low, min(low + _LEVELS, prefix.max_prefixlen)):
        beside = int(prefix.network_address) >> level << level ^ 1 << level
        for bits in _HOSTS:
            address = family_of(prefix).address(beside | bits & (1 << level) - 1)
            answer = host.exchange([route_messages.route_to(address, entry=True)])[0]
            if answer.errno == errno.ENETUNREACH or (not answer.errno and query.is_default(answer.messages[0])):
                return None
            if not answer.errno and (way := query.route_of(answer.messages[0])).dst.supernet_of(prefix):  # type: ignore[arg-type]
                return way
    return None


def _hosts(host: Socket, index: int, prefix: Prefix) -> Iterator[tuple[Address, str]]:
    """Return the hosts of an IPv6 prefix that are known to be on a link: as gateways of its routes, or as neighbours.

    Only messages are read in which the prefix stands: a thousand other nodes are a thousand routes and neighbours.
    Who comes while they are read may be missing.
    """
    begin = prefix.network_address.packed[: prefix.prefixlen // 8]

    def wanted(body: bytes) -> bool:
        return begin in body

    for part in host.dump(route_messages.all_routes(IPV6, index=index), allow_interrupted=True, only=wanted):
        route = query.route_of(part)
        if route.gateway and route.gateway in prefix:
            yield route.gateway, f"{route.gateway} is the gateway of route {route_text.route(host, route)}"
    for part in host.dump(address_messages.neighbours(index), allow_interrupted=True, only=wanted):
        neighbour = query.neighbour_of(part)
        if neighbour and neighbour.address in prefix:
            link = query.link_at(host, index)
            yield neighbour.address, f"{neighbour.address} is a neighbour on {link.name if link else 'the link'}"


def _common(dst: Prefix, prefix: Prefix) -> Range:
    return Range.of(dst if dst.prefixlen > prefix.prefixlen else prefix)
