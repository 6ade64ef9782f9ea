"""Forgetting connections of an address, or to a host port, before it is another pod's.

Those of an address would be let in as established, those to a port go on to where they were translated to before.
"""

from __future__ import annotations

import errno
import itertools
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from ipaddress import ip_address

from slash80.addressing.family import FAMILIES, IPV4, Address, Family, family_of
from slash80.addressing.openings import PortMapping
from slash80.addressing.ports import UDP
from slash80.errors import FirewallUnusable
from slash80.netlink.codec import NetlinkError, Step, attribute, attributes, message, some_attributes
from slash80.netlink.constants import NETLINK_NETFILTER, NLM_F_ACK, NLM_F_DUMP
from slash80.netlink.socket import Socket

# include/uapi/linux/netfilter/nfnetlink_conntrack.h
NFNL_SUBSYS_CTNETLINK = 1 << 8
IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE = 1, 2
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_STATUS, CTA_ZONE, CTA_FILTER = 1, 2, 3, 18, 25
CTA_TUPLE_IP, CTA_TUPLE_PROTO, CTA_IP_V4_SRC, CTA_IP_V4_DST, CTA_IP_V6_SRC, CTA_IP_V6_DST = 1, 2, 1, 2, 3, 4
CTA_PROTO_NUM, CTA_PROTO_DST_PORT = 1, 3
CTA_FILTER_F_CTA_IP_SRC, CTA_FILTER_F_CTA_PROTO_NUM, CTA_FILTER_F_CTA_PROTO_DST_PORT = 1, 8, 32
NLA_F_NESTED = 0x8000
IPS_EXPECTED = 1  # include/uapi/linux/netfilter/nf_conntrack_common.h
# Where a tuple has its source: behind the headers of CTA_TUPLE_IP and of its first attribute, which the kernel writes
# in this order (nf_ct_dump_tuple in net/netfilter/nf_conntrack_netlink.c). Reading so takes a third of the time, and a
# node may have 262,144 entries.
SOURCE_AT = 8
_TUPLES = frozenset({CTA_TUPLE_ORIG, CTA_TUPLE_REPLY})  # CTA_FILTER_ORIG_FLAGS and _REPLY_FLAGS have the same numbers
_ORIGINAL = frozenset({CTA_TUPLE_ORIG})
_TARGET = {4: CTA_IP_V4_DST, 6: CTA_IP_V6_DST}
_SOURCE = {4: CTA_IP_V4_SRC, 6: CTA_IP_V6_SRC}
_NFGENMSG = struct.Struct("=BBH")  # family, version, resource
_FEW = 4  # addresses that the kernel is asked for one by one, at two walks over its table each


def forget(addresses: Collection[Address]) -> int:
    """Delete every connection from or to these addresses and count them; raise FirewallUnusable when that fails.

    A pod's own connections have it as the original source, those to it as the source of the reply, whatever NAT does.
    The kernel walks over its whole table for each question: 4 ms where that has 262,144 rows, however empty.
    """
    try:
        with Socket(NETLINK_NETFILTER) as socket:
            return sum(
                _forget(socket, family, [one for one in addresses if family_of(one) is family]) for family in FAMILIES
            )
    except OSError as error:
        named = ", ".join(map(str, itertools.islice(addresses, _FEW))) + (
            " and others" if len(addresses) > _FEW else ""
        )
        msg = f"old connections of {named} cannot be deleted: {error.strerror}; enable nf_conntrack_netlink on the node"
        raise FirewallUnusable(msg) from error


def forget_ports(mappings: Collection[PortMapping], own: Collection[Address]) -> int:
    """Delete the UDP connections to host ports and count them; `own` are the node's addresses but loopback.

    A connection is translated by its first packet, and a sender of UDP goes on with one that was made before a mapping,
    or for the pod that had it before. TCP and SCTP begin again, since the answer is a reset or an abort.
    """
    wanted = [one for one in mappings if one.protocol == UDP]
    if not wanted:
        return 0
    local = {one.packed for one in own}
    try:
        with Socket(NETLINK_NETFILTER) as socket:
            return sum(
                _forget_ports(socket, family, [one for one in wanted if family_of(one.host_ip) is family], local=local)
                for family in FAMILIES
            )
    except OSError as error:
        msg = f"old connections to {', '.join(map(str, wanted[:_FEW]))} cannot be deleted: {error.strerror}"
        raise FirewallUnusable(f"{msg}; enable nf_conntrack_netlink on the node") from error


def _forget_ports(socket: Socket, family: Family, mappings: Sequence[PortMapping], *, local: Collection[bytes]) -> int:
    hosts = {(one.host_port, one.host_ip.packed) for one in mappings if not one.host_ip.is_unspecified}
    every = {one.host_port for one in mappings if one.host_ip.is_unspecified}

    def concerned(body: bytes) -> bool:
        target, port = _udp_target(some_attributes(body, _NFGENMSG.size, _ORIGINAL).get(CTA_TUPLE_ORIG, b""), family)
        return (port, target) in hosts or (port in every and (target in local or _is_loopback(target)))

    return delete(socket, family, list(_port_questions({one.host_port for one in mappings})), concerned=concerned)


def _port_questions(ports: Collection[int]) -> Iterator[bytes]:
    """Return what narrows each dump to connections to a port of UDP, where the kernel can (5.8)."""
    if len(ports) > _FEW:
        yield b""
        return
    for port in sorted(ports):
        proto = attribute(CTA_PROTO_NUM, bytes([UDP])) + attribute(CTA_PROTO_DST_PORT, port.to_bytes(2))
        original = attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, attribute(CTA_TUPLE_PROTO | NLA_F_NESTED, proto))
        flags = struct.pack("=I", CTA_FILTER_F_CTA_PROTO_NUM | CTA_FILTER_F_CTA_PROTO_DST_PORT)
        yield original + attribute(CTA_FILTER | NLA_F_NESTED, attribute(CTA_TUPLE_ORIG, flags))


def _udp_target(tuple_: bytes, family: Family) -> tuple[bytes, int]:
    """Return where a connection of UDP was sent to; port 0 of any other."""
    found = attributes(tuple_, 0)
    proto = attributes(found.get(CTA_TUPLE_PROTO, b""), 0)
    if proto.get(CTA_PROTO_NUM) != bytes([UDP]):
        return b"", 0
    target = attributes(found.get(CTA_TUPLE_IP, b""), 0).get(_TARGET[family.version], b"")
    return target, int.from_bytes(proto.get(CTA_PROTO_DST_PORT, b""), "big")


def _is_loopback(packed: bytes) -> bool:
    return bool(packed) and ip_address(packed).is_loopback


def _forget(socket: Socket, family: Family, addresses: Sequence[Address]) -> int:
    wanted = frozenset(address.packed for address in addresses)

    def concerned(body: bytes) -> bool:
        tuples = some_attributes(body, _NFGENMSG.size, _TUPLES).values()
        return any(_source(found, family) in wanted for found in tuples)

    return delete(socket, family, list(questions(family, addresses)), concerned=concerned)


def delete(socket: Socket, family: Family, questions: Sequence[bytes], *, concerned: Callable[[bytes], bool]) -> int:
    """Delete the connections with which a function is concerned, and count them; raise OSError when that fails."""
    generic = _NFGENMSG.pack(family.af, 0, 0)
    names = {  # each once, though one between two of the addresses is found twice
        name_of(part.body): None
        for question in questions
        for part in socket.dump(
            Step("conntrack -L", message(NFNL_SUBSYS_CTNETLINK | IPCTNL_MSG_CT_GET, NLM_F_DUMP, generic + question)),
            only=concerned,
        )
    }
    steps = [
        Step("conntrack -D", message(NFNL_SUBSYS_CTNETLINK | IPCTNL_MSG_CT_DELETE, NLM_F_ACK, generic + name))
        for name in names
    ]
    for step, answer in zip(steps, socket.exchange(steps), strict=True):
        if answer.errno not in {0, errno.ENOENT}:
            raise NetlinkError(step, answer)
    return len(steps)


def questions(family: Family, addresses: Sequence[Address]) -> Iterator[bytes]:
    """Return what narrows each dump to entries that may concern the addresses.

    The kernel can sort them out by one source, but not in IPv6, where it gives all but those that match
    (ctnetlink_filter_match_tuple takes ipv6_addr_cmp the wrong way round), nor before 5.8; so every entry is looked at
    here as well.
    """
    if family is not IPV4 or len(addresses) > _FEW:
        yield from [b""] if addresses else []
        return
    for address in addresses:
        source = attribute(CTA_TUPLE_IP | NLA_F_NESTED, attribute(_SOURCE[family.version], address.packed))
        for tuple_ in sorted(_TUPLES):
            chosen = attribute(CTA_FILTER | NLA_F_NESTED, attribute(tuple_, struct.pack("=I", CTA_FILTER_F_CTA_IP_SRC)))
            yield attribute(tuple_ | NLA_F_NESTED, source) + chosen


def _source(tuple_: bytes, family: Family) -> bytes | None:
    ip = attributes(tuple_, 0).get(CTA_TUPLE_IP, b"")
    return attributes(ip, 0).get(_SOURCE[family.version])


def name_of(body: bytes) -> bytes:
    """Return what names a connection: its original direction and its zone."""
    found = attributes(body, _NFGENMSG.size)
    zone = attribute(CTA_ZONE, found[CTA_ZONE]) if CTA_ZONE in found else b""
    return attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, found[CTA_TUPLE_ORIG]) + zone
