"""Forgetting the connections of an address before another pod gets it, or they would be let in as established."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

from slash80.addressing.family import Address, family_of
from slash80.errors import FirewallUnusable
from slash80.netlink import (
    NETLINK_NETFILTER,
    NLM_F_ACK,
    NLM_F_DUMP,
    NetlinkError,
    Socket,
    Step,
    attribute,
    attributes,
    message,
)

_SUBSYSTEM, _GET, _DELETE = 1 << 8, 1, 2  # NFNL_SUBSYS_CTNETLINK and its messages
_TUPLE_ORIGINAL, _TUPLE_REPLY, _ZONE, _FILTER = 1, 2, 18, 25
_TUPLE_IP = 1
_SOURCE = {4: 1, 6: 3}  # CTA_IP_V4_SRC, CTA_IP_V6_SRC
_FILTER_SOURCE = struct.pack("=I", 1)  # CTA_FILTER_F_CTA_IP_SRC
_NESTED = 0x8000
_GENERIC = struct.Struct("=BBH")  # nfgenmsg: family, version, resource


def forget(address: Address) -> int:
    """Delete every connection from or to an address and count them; raise FirewallUnusable when that cannot be done.

    A pod's own connections have it as the original source, those to it as the source of the reply, whatever NAT does.
    """
    try:
        with Socket(NETLINK_NETFILTER) as socket:
            return sum(_forget(socket, address, tuple_) for tuple_ in (_TUPLE_ORIGINAL, _TUPLE_REPLY))
    except OSError as error:
        msg = (
            f"old connections of {address} cannot be deleted: {error.strerror}; enable nf_conntrack_netlink on the node"
        )
        raise FirewallUnusable(msg) from error


def _forget(socket: Socket, address: Address, tuple_: int) -> int:
    generic = _generic(address)
    steps = [
        Step("conntrack -D", message(_SUBSYSTEM | _DELETE, NLM_F_ACK, generic + entry))
        for entry in _entries(socket, address, tuple_)
    ]
    for step, answer in zip(steps, socket.exchange(steps), strict=True):
        if answer.errno not in {0, errno.ENOENT}:
            raise NetlinkError(step, answer)
    return len(steps)


def _entries(socket: Socket, address: Address, tuple_: int) -> Iterator[bytes]:
    """Give what names each matching connection.

    The kernel can sort them out, but not in IPv6, where it gives all but those that match (ctnetlink_filter_match_tuple
    takes ipv6_addr_cmp the wrong way round), nor before 5.8; so every entry is looked at here as well.
    """
    source = attribute(_SOURCE[address.version], address.packed)
    wanted = attribute(tuple_ | _NESTED, attribute(_TUPLE_IP | _NESTED, source))
    chosen = attribute(_FILTER | _NESTED, attribute(tuple_, _FILTER_SOURCE))
    sorted_out = wanted + chosen if address.version == 4 else b""
    question = Step(
        f"conntrack -L for {address}", message(_SUBSYSTEM | _GET, NLM_F_DUMP, _generic(address) + sorted_out)
    )
    for part in socket.dump(question):
        if address.packed not in part.body:
            continue
        found = attributes(part.body, _GENERIC.size)
        ip = attributes(attributes(found.get(tuple_, b""), 0).get(_TUPLE_IP, b""), 0)
        if ip.get(_SOURCE[address.version]) == address.packed:
            zone = attribute(_ZONE, found[_ZONE]) if _ZONE in found else b""
            yield attribute(_TUPLE_ORIGINAL | _NESTED, found[_TUPLE_ORIGINAL]) + zone


def _generic(address: Address) -> bytes:
    return _GENERIC.pack(family_of(address).af, 0, 0)
