"""What the kernel has at this moment: links, addresses, routes and neighbours as plain values."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

from slash80.addressing.family import FAMILIES, IPV4, IPV6, Address, Family, Prefix
from slash80.addressing.mac import Mac
from slash80.netlink.codec import Message, NetlinkError, attributes, some_attributes
from slash80.netlink.socket import Socket
from slash80.wiring import address_messages, link_messages, route_messages

_LINK, _ADDRESS = struct.Struct("=BxHiII"), struct.Struct("=BBBBI")
_HOP = struct.Struct("=HxxI")
_PROTOCOL_AT = 5  # in struct rtmsg
_ROUTE, _NEIGHBOUR = struct.Struct("=8BI"), struct.Struct("=BxxxiHBB")
IFF_UP, IFF_NOARP, NUD_PERMANENT = 1, 0x80, 0x80
_IFA_ADDRESS, _IFA_LOCAL, _NDA_DST, _NDA_LLADDR = 1, 2, 1, 2
RTNLGRP_LINK, RTM_NEWLINK, RTNLGRP_IPV6_IFADDR, RTM_NEWADDR = 1, 16, 9, 20
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_LINKINFO, _IFLA_ALIAS, _IFLA_GROUP = 1, 3, 4, 5, 18, 20, 27
_OF_A_LINK = frozenset({_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_LINKINFO, _IFLA_ALIAS, _IFLA_GROUP})
_IFLA_LINK_NETNSID, NETNSA_NSID, _UNNUMBERED = 37, 1, b"\xff\xff\xff\xff"
_IFLA_OPERSTATE, _IF_OPER_UP = 16, b"\x06"
_OTHER_END, _OTHER_NETNS = frozenset({_IFLA_LINK}), frozenset({_IFLA_LINK_NETNSID})
_STATE = frozenset({_IFLA_OPERSTATE})
_GENERAL = 4  # bytes of struct rtgenmsg, padded
IFLA_INFO_KIND, RTAX_MTU = 1, 2
_LARGEST_MTU = 65535  # of a veth; loopback has one more
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_METRICS, _RTA_MULTIPATH = 1, 4, 5, 6, 8, 9
_OF_A_HOST_ROUTE = frozenset({_RTA_DST, _RTA_OIF})
_RTA_TABLE, _RTA_VIA, _VIA_FAMILY = 15, 18, 2  # bytes of the family in a struct rtvia


@dataclass(frozen=True, slots=True)
class Link:
    """A link of one namespace; `peer` is the index of a veth's other end, a link without a MAC has none in `mac`.

    `arp` is whether neighbours are asked for on it, as on no tunnel.
    """

    index: int
    peer: int
    name: str
    mac: Mac | None
    mtu: int
    group: int
    alias: str
    kind: str
    up: bool
    arp: bool = True


@dataclass(frozen=True, slots=True)
class AddressOn:
    """An address with its prefix length and scope."""

    address: Address
    length: int
    scope: int


@dataclass(frozen=True, slots=True)
class Route:
    """A route; `kind`, `protocol` and `table` are the kernel's numbers, `index` is 0 where no link is named.

    Of one that leads several ways (`split`) it is the first link's, and `links` are those of all.
    """

    dst: Prefix
    index: int
    gateway: Address | None
    protocol: int
    kind: int
    priority: int
    mtu: int
    split: bool = False
    table: int = route_messages.RT_TABLE_MAIN
    links: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A neighbour entry that has a MAC."""

    address: Address
    mac: Mac
    permanent: bool


def link(socket: Socket, name: str) -> Link | None:
    """Find a link by name."""
    try:
        parts = socket.ask(link_messages.get_link(name))
    except NetlinkError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return link_of(parts[0])


def link_at(socket: Socket, index: int) -> Link | None:
    """Find a link by its index."""
    answer = socket.exchange([link_messages.get_link_at(index)])[0] if index else None
    return link_of(answer.messages[0]) if answer and not answer.errno else None


def named(socket: Socket, names: Sequence[str]) -> list[Link]:
    """Find the links of these names that there are."""
    steps = [link_messages.get_link(name) for name in names]
    answers = socket.exchange(steps)
    for step, answer in zip(steps, answers, strict=True):
        if answer.errno not in {0, errno.ENODEV}:
            raise NetlinkError(step, answer)
    return [link_of(answer.messages[0]) for answer in answers if not answer.errno]


def links(socket: Socket, having: Sequence[bytes] = (), *, allow_interrupted: bool = False) -> list[Link]:
    """Return all links; or those whose message has one of these byte strings: decoding a thousand takes 25 ms.

    With `allow_interrupted` links that were created meanwhile may be missing; without, a busy node may raise
    NetlinkError.
    """
    only = (lambda body: any(mark in body for mark in having)) if having else None
    found = map(link_of, socket.dump(link_messages.all_links(), allow_interrupted=allow_interrupted, only=only))
    return list({link.index: link for link in found}.values())  # as each was seen last


def veth_with_peer_in(socket: Socket, name: str, netns_fd: int) -> tuple[Link | None, bool]:
    """Find a link by name, and return whether its other end is inside that namespace, in one exchange."""
    steps = [link_messages.get_link(name), link_messages.get_netns_id(netns_fd)]
    # in this order: a namespace may get its number only as a link is shown whose other end is in it
    found, numbered = socket.exchange(steps)
    if found.errno == errno.ENODEV:
        return None, False
    for step, answer in zip(steps, (found, numbered), strict=True):
        if answer.errno:
            raise NetlinkError(step, answer)
    there = some_attributes(found.messages[0].body, _LINK.size, _OTHER_NETNS).get(_IFLA_LINK_NETNSID, _UNNUMBERED)
    inside = there != _UNNUMBERED and there == attributes(numbered.messages[0].body, _GENERAL)[NETNSA_NSID]
    return link_of(found.messages[0]), inside


def addresses(socket: Socket, index: int) -> list[AddressOn]:
    """Return a link's addresses."""
    return list(map(_address_on, socket.dump(address_messages.addresses(index))))


def routes(
    socket: Socket,
    family: Family | None,
    *,
    index: int = 0,
    kind: int = 0,
    table: int = route_messages.RT_TABLE_MAIN,
    allow_interrupted: bool = False,
) -> list[Route]:
    """Return a table's routes, those of one link, or those of one kind (RTN_*); filtered by the kernel.

    Without a family those of both. With `allow_interrupted` routes that changed meanwhile may be missing.
    """
    try:
        parts = socket.dump(
            route_messages.all_routes(family, index=index, kind=kind, table=table), allow_interrupted=allow_interrupted
        )
    except NetlinkError as error:
        if error.errno == errno.ENOENT:  # a namespace has no main table before its first route
            return []
        raise
    return [route_of(part) for part in parts]


def foreign_routes(socket: Socket, family: Family) -> list[Route]:
    """Return the unicast routes of all tables that are not ours.

    Ours, one for each prefix of other nodes, are skipped before they are read: five thousand would take 90 ms.
    """
    step = route_messages.all_routes(family, kind=route_messages.RTN_UNICAST, table=route_messages.RT_TABLE_UNSPEC)
    return [route_of(part) for part in socket.dump(step, allow_interrupted=True, only=_is_foreign)]


def priorities(pod: Socket) -> set[int]:
    """Return the metrics that our routes in a pod have, in whatever table."""
    found = routes(pod, None, table=route_messages.RT_TABLE_UNSPEC)
    return {route.priority for route in found if route.protocol == route_messages.PROTOCOL}


def neighbours(socket: Socket, index: int) -> list[Neighbour]:
    """Return a link's neighbours."""
    found = map(neighbour_of, socket.dump(address_messages.neighbours(index)))
    return [neighbour for neighbour in found if neighbour]


@contextmanager
def addresses_ready(socket: Socket, index: int, wanted: Sequence[Address]) -> Iterator[None]:
    """Leave the block, in which a link gets its addresses, only when the IPv6 ones are ready to be used.

    An IPv6 address is acknowledged before it has its local route and answers solicitations: a work queue does that, and
    may have to wait for the rtnl lock. Then it is told to everybody, once for an address without duplicate address
    detection (addrconf_dad_completed in net/ipv6/addrconf.c). Up to then packets to it are dropped.
    """
    missing = {address for address in wanted if address.version == 6}
    if not missing:
        yield
        return

    def settled(part: Message) -> bool:
        if part.kind == RTM_NEWADDR and _ADDRESS.unpack_from(part.body)[4] == index:
            missing.discard(_address_on(part).address)
        return not missing

    with socket.subscribed(RTNLGRP_IPV6_IFADDR):
        yield
        socket.wait_for_notification(settled)


@contextmanager
def link_ready(socket: Socket, index: int) -> Iterator[None]:
    """Leave the block, in which a link gets its carrier, only when it sends packets.

    The end of a pair that is raised first has no carrier yet. When it gets it, a work queue of the kernel activates it
    (linkwatch_do_dev in net/core/link_watch.c), and may have to wait for the rtnl lock; up to then what is sent there
    is dropped. IPv6 addresses become ready after that, so an ADD need not wait for both.
    """

    def settled(part: Message) -> bool:
        if part.kind != RTM_NEWLINK or _LINK.unpack_from(part.body)[2] != index:
            return False
        return some_attributes(part.body, _LINK.size, _STATE).get(_IFLA_OPERSTATE) == _IF_OPER_UP

    with socket.subscribed(RTNLGRP_LINK):
        yield
        socket.wait_for_notification(settled)


def route_lookup(socket: Socket, address: Address) -> Route | None:
    """Return the route that the kernel uses for an address, from any table (`ip route get fibmatch`)."""
    return route_lookups(socket, [address])[0]


def route_lookups(socket: Socket, addresses: Sequence[Address]) -> list[Route | None]:
    """Return these routes for several addresses; None where there is no route, or one that discards packets."""
    answers = socket.exchange([route_messages.route_to(address, entry=True) for address in addresses])
    return [None if answer.errno else route_of(answer.messages[0]) for answer in answers]


def uplink_mtu(socket: Socket) -> int:
    """Return the MTU of the default route or of its link, IPv6 first; 1500 without a default route."""
    for family in (IPV6, IPV4):
        answer = socket.exchange([route_messages.route_to(route_messages.somewhere(family))])[0]
        if answer.errno or not (way := route_of(answer.messages[0])).index:
            continue
        return min(way.mtu or link_of(socket.ask(link_messages.get_link_at(way.index))[0]).mtu, _LARGEST_MTU)
    return 1500


def ends_of(part: Message) -> tuple[int, int]:
    """Read the indexes of a veth and of its other end out of a message."""
    index = _LINK.unpack_from(part.body)[2]
    return index, _number(some_attributes(part.body, _LINK.size, _OTHER_END).get(_IFLA_LINK))


def link_of(part: Message) -> Link:
    """Read a link out of a message."""
    _, _, index, flags, _ = _LINK.unpack_from(part.body)
    found = some_attributes(part.body, _LINK.size, _OF_A_LINK)
    mac = found.get(_IFLA_ADDRESS, b"")
    return Link(
        index=index,
        peer=_number(found.get(_IFLA_LINK)),
        name=_text(found.get(_IFLA_IFNAME, b"")),
        mac=Mac.unpack(mac) if len(mac) == 6 else None,
        mtu=_number(found.get(_IFLA_MTU)),
        group=_number(found.get(_IFLA_GROUP)),
        alias=_text(found.get(_IFLA_ALIAS, b"")),
        kind=_text(attributes(found.get(_IFLA_LINKINFO, b""), 0).get(IFLA_INFO_KIND, b"")),
        up=bool(flags & IFF_UP),
        arp=not flags & IFF_NOARP,
    )


def _address_on(part: Message) -> AddressOn:
    _, length, _, scope, _ = _ADDRESS.unpack_from(part.body)
    found = attributes(part.body, _ADDRESS.size)
    # On a point-to-point link IFA_ADDRESS is the other end's (if_addr.h); IPv6 has IFA_LOCAL only there.
    return AddressOn(_packed(found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]), length, scope)


def is_route_to(part: Message, address: Address, index: int) -> bool:
    """Report whether a message is of a route that leads to this very address by a link; read in a third of the time."""
    _, length, *_, kind, _ = _ROUTE.unpack_from(part.body)
    found = some_attributes(part.body, _ROUTE.size, _OF_A_HOST_ROUTE)
    there = length == address.max_prefixlen and found.get(_RTA_DST) == address.packed
    return there and kind == route_messages.RTN_UNICAST and _number(found.get(_RTA_OIF)) == index


def _is_foreign(body: bytes) -> bool:
    return int(body[_PROTOCOL_AT]) != route_messages.PROTOCOL


def is_default(part: Message) -> bool:
    """Report whether a message is of a default route."""
    return not part.body[1]


def kind_of(part: Message) -> int:
    """Read the kind (RTN_*) of a route out of a message."""
    return int(_ROUTE.unpack_from(part.body)[7])


def route_of(part: Message) -> Route:
    """Read a route out of a message."""
    af, length, _, _, table, protocol, _, kind, _ = _ROUTE.unpack_from(part.body)
    found = attributes(part.body, _ROUTE.size)
    family = next(family for family in FAMILIES if family.af == af)
    start = found.get(_RTA_DST, bytes(family.bits // 8))
    gateway = found.get(_RTA_GATEWAY) or found.get(_RTA_VIA, b"")[_VIA_FAMILY:]
    hops = found.get(_RTA_MULTIPATH, b"")
    links = tuple(_links_of(hops)) if hops else tuple(filter(None, [_number(found.get(_RTA_OIF))]))
    return Route(
        dst=ip_network((start, length), strict=False),
        index=links[0] if links else 0,
        gateway=_packed(gateway) if gateway else None,
        protocol=protocol,
        kind=kind,
        priority=_number(found.get(_RTA_PRIORITY)),
        mtu=_number(attributes(found.get(_RTA_METRICS, b""), 0).get(RTAX_MTU)),
        split=bool(hops),
        # The header has 8 bits, and RT_TABLE_COMPAT in them for a larger number.
        table=_number(found.get(_RTA_TABLE)) or table,
        links=links,
    )


def _links_of(hops: bytes) -> Iterator[int]:
    """Read the links' indexes out of the `struct rtnexthop`s of a route, each followed by attributes."""
    offset = 0
    while offset + _HOP.size <= len(hops):
        length, index = _HOP.unpack_from(hops, offset)
        if length < _HOP.size:
            return
        yield index
        offset += length + 3 & ~3


def neighbour_of(part: Message) -> Neighbour | None:
    """Read a neighbour out of a message; None when it has no MAC."""
    _, _, state, _, _ = _NEIGHBOUR.unpack_from(part.body)
    found = attributes(part.body, _NEIGHBOUR.size)
    # One that is still being asked for has no MAC, and on a tunnel it has an address in its place.
    if _NDA_DST not in found or len(found.get(_NDA_LLADDR, b"")) != 6:
        return None
    return Neighbour(_packed(found[_NDA_DST]), Mac.unpack(found[_NDA_LLADDR]), bool(state & NUD_PERMANENT))


def _packed(raw: bytes) -> Address:
    return IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("utf-8", "surrogateescape")


def _number(raw: bytes | None) -> int:
    return int(struct.unpack_from("=I", raw)[0]) if raw else 0
