"""Holding an attachment against the kernel, on both sides, for CHECK."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from slash80.addressing.attachment import read_alias
from slash80.addressing.family import FAMILIES, Address, Family, Prefix, family_of
from slash80.addressing.mac import Mac
from slash80.netlink.socket import Socket
from slash80.wiring import address_messages, link_messages, query, reachability, route_messages


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be there; a route without gateway is met by any to its destination.

    `mac` is what the pod's interface must have, empty if unknown; `our_mac` what it got from us: while it has that,
    the neighbours that we set must be there too, and a plugin that changed it may have lost them. `only_ours` looks for
    further routes to the same addresses, which costs a dump of all routes.
    """

    host_ifname: str
    host_mac: Mac
    alias: str
    ifname: str
    mac: str
    our_mac: Mac | None
    addresses: tuple[Address, ...]
    routes: tuple[tuple[Prefix, Address | None], ...]
    only_ours: bool = False

    @property
    def families(self) -> tuple[Family, ...]:
        """The families of the addresses."""
        mine = {family_of(address) for address in self.addresses}
        return tuple(family for family in FAMILIES if family in mine)


def differences(host: Socket, pod: Socket, expected: Expected) -> list[str]:
    """Return what of the pod is missing or wrong; empty when all is well. Without its host end all else is gone.

    What a rule of the node does to its packets is not the pod's (`ways.misled`).
    """
    link = query.link(host, expected.host_ifname)
    if link is None:
        return [f"host end {expected.host_ifname} is missing"]
    return [*_host_side(host, link, expected), *_pod_side(pod, expected)]


def _host_side(host: Socket, link: query.Link, expected: Expected) -> Iterator[str]:
    name = expected.host_ifname
    if link.group != link_messages.GROUP_ALIVE:
        yield f"host end {name} is in group {link.group} instead of {link_messages.GROUP_ALIVE}"
    if read_alias(link.alias) != read_alias(expected.alias):
        yield f"host end {name} has the alias {link.alias!a} instead of '{expected.alias}'"
    if link.mac != expected.host_mac:
        yield f"host end {name} has the MAC {link.mac} instead of {expected.host_mac}"
    if not link.up:
        yield f"host end {name} is down"
    yield from _gateways(host, expected, link.index)
    for address in expected.addresses:
        wrong = _wrong_way(query.route_lookup(host, address), address, link.index)
        if wrong and not reachability.is_misled(host, address):
            yield f"host route {address}/{address.max_prefixlen} dev {name} {wrong}"
    if expected.only_ours:
        yield from _doubled(host, expected, link.index)


def _doubled(host: Socket, expected: Expected, index: int) -> Iterator[str]:
    for address in expected.addresses:
        routes = query.routes(host, family_of(address), kind=route_messages.RTN_UNICAST)
        if any(route.dst == ip_network(address) and route.index != index for route in routes):
            yield f"host route {address}/{address.max_prefixlen} dev {expected.host_ifname} has another beside it"


def _gateways(host: Socket, expected: Expected, index: int) -> Iterator[str]:
    there = {(found.address, found.length, found.scope) for found in query.addresses(host, index)}
    for family in expected.families:
        if (family.gateway, family.gateway_length, address_messages.gateway_scope(family)) not in there:
            yield f"gateway address {family.gateway} is missing or changed on {expected.host_ifname}"


def _wrong_way(way: query.Route | None, address: Address, index: int) -> str:
    """Return why packets to an address do not go to its host end; empty when they do."""
    if way is None or way.kind == route_messages.RTN_UNREACHABLE or way.dst != ip_network(address):
        return "is missing"
    if way.index != index or way.split or way.kind != route_messages.RTN_UNICAST:
        return f"is overridden by one of protocol {way.protocol}"
    return (
        ""
        if way.protocol == route_messages.PROTOCOL
        else f"has protocol {way.protocol} instead of {route_messages.PROTOCOL}"
    )


def _pod_side(pod: Socket, expected: Expected) -> Iterator[str]:
    name = expected.ifname
    link = query.link(pod, name)
    if link is None:
        yield f"interface {name} is missing in the pod"
        return
    if not link.up:
        yield f"interface {name} is down in the pod"
    if expected.mac and str(link.mac) != expected.mac:
        yield f"interface {name} has the MAC {link.mac} instead of {expected.mac}"
    there = {(found.address, found.length) for found in query.addresses(pod, link.index)}
    for address in expected.addresses:
        if (address, address.max_prefixlen) not in there:
            yield f"address {address}/{address.max_prefixlen} is missing on {name} in the pod"
    yield from _neighbours(pod, link, expected)
    for family in expected.families:
        # of whatever table: `sbr` moves them
        routes = query.routes(
            pod, family, index=link.index, kind=route_messages.RTN_UNICAST, table=route_messages.RT_TABLE_UNSPEC
        )
        known = {(route.dst, gateway) for route in routes for gateway in (route.gateway, None)}
        for dst, gateway in expected.routes:
            if family_of(dst) is family and (dst, gateway) not in known:
                yield f"route {dst}{f' via {gateway}' if gateway else ''} dev {name} is missing in the pod"


def _neighbours(pod: Socket, link: query.Link, expected: Expected) -> Iterator[str]:
    known = {found.address: found for found in query.neighbours(pod, link.index)}
    for family in expected.families:
        found = known.get(family.gateway)
        if found is None:
            if link.mac == expected.our_mac:
                yield f"neighbour {family.gateway} of {link.name} is missing in the pod"
        elif found.mac != expected.host_mac:
            yield f"neighbour {family.gateway} of {link.name} has the MAC {found.mac} instead of {expected.host_mac}"
        elif not found.permanent and link.mac == expected.our_mac:
            yield f"neighbour {family.gateway} of {link.name} is not permanent in the pod"
