"""Ending connections that policies no longer allow: by one bit of their mark, for which the table's base chain asks.

The rules judge a connection by its first packet, and pass what is established. An entry of connection tracking is never
deleted for that: the next packet, of whichever side, would begin it again (nf_conntrack_tcp_loose), and a reply of a
server would be the first packet of a connection that the server may well open.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Collection
from ipaddress import ip_address

from slash80.addressing.family import FAMILIES, Address, Family, family_of
from slash80.errors import FirewallUnusable
from slash80.firewall import conntrack
from slash80.firewall.conntrack import (
    CTA_PROTO_NUM,
    CTA_STATUS,
    CTA_TUPLE_IP,
    CTA_TUPLE_ORIG,
    CTA_TUPLE_PROTO,
    CTA_TUPLE_REPLY,
    IPCTNL_MSG_CT_GET,
    IPS_EXPECTED,
    NFNL_SUBSYS_CTNETLINK,
    SOURCE_AT,
)
from slash80.netlink.codec import NetlinkError, Step, attribute, attributes, message, some_attributes
from slash80.netlink.constants import NETLINK_NETFILTER, NLM_F_ACK, NLM_F_DUMP
from slash80.netlink.socket import Socket
from slash80.policy.model import Flow

# include/uapi/linux/netfilter/nfnetlink_conntrack.h
IPCTNL_MSG_CT_NEW = 0
CTA_MARK, CTA_MARK_MASK, CTA_PROTO_SRC_PORT = 8, 21, 2
_ENTRY = frozenset({CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_STATUS, CTA_MARK})
_TUPLES = frozenset({CTA_TUPLE_ORIG, CTA_TUPLE_REPLY})
_NFGENMSG = struct.Struct("=BBH")  # family, version, resource


def revoke(addresses: Collection[Address], allowed: Callable[[Flow], bool | None], mark: int) -> int:
    """End the connections from and to these addresses that are not allowed, and let those go on that are again.

    Each is judged as its first packet was: by the source that opened it, and the endpoint that answers it. `mark` is
    the number of the bit; other bits of a connection's mark stay. Connections of which `allowed` says None are left
    alone, and so are those that a helper expects, as FTP's, which belong to another one. Return how many were ended.
    Raise FirewallUnusable when connection tracking cannot be asked.
    """
    try:
        with Socket(NETLINK_NETFILTER) as socket:
            return sum(
                _revoke(
                    socket,
                    family,
                    [one for one in addresses if family_of(one) is family],
                    allowed=allowed,
                    bit=1 << mark,
                )
                for family in FAMILIES
            )
    except OSError as error:
        msg = f"connections that policies no longer allow cannot be ended: {error.strerror}"
        raise FirewallUnusable(f"{msg}; enable nf_conntrack_netlink on the node") from error


def _revoke(
    socket: Socket, family: Family, addresses: list[Address], *, allowed: Callable[[Flow], bool | None], bit: int
) -> int:
    generic = _NFGENMSG.pack(family.af, 0, 0)
    changed: dict[bytes, int] = {}
    for name, body in _entries(socket, family, addresses).items():
        found = some_attributes(body, _NFGENMSG.size, _ENTRY)
        status, marked = (int.from_bytes(found.get(kind, b""), "big") for kind in (CTA_STATUS, CTA_MARK))
        flow = _flow(found[CTA_TUPLE_ORIG], found[CTA_TUPLE_REPLY])
        if flow is None or status & IPS_EXPECTED:
            continue
        may = allowed(flow)
        wanted = 0 if may else bit
        if may is not None and marked & bit != wanted:
            changed[name] = wanted
    steps = [_update(generic + name, wanted, bit) for name, wanted in changed.items()]
    for step, answer in zip(steps, socket.exchange(steps), strict=True):
        if answer.errno not in {0, errno.ENOENT}:  # it may have ended by itself
            raise NetlinkError(step, answer)
    return sum(map(bool, changed.values()))


def _entries(socket: Socket, family: Family, addresses: list[Address]) -> dict[bytes, bytes]:
    """Return the entries whose first sender or answering side has one of the addresses, by what names them.

    One between two of the addresses is found twice.
    """
    wanted, size = frozenset(address.packed for address in addresses), family.bits // 8

    def concerned(body: bytes) -> bool:
        tuples = some_attributes(body, _NFGENMSG.size, _TUPLES).values()
        return any(found[SOURCE_AT : SOURCE_AT + size] in wanted for found in tuples)

    kind, generic = NFNL_SUBSYS_CTNETLINK | IPCTNL_MSG_CT_GET, _NFGENMSG.pack(family.af, 0, 0)
    return {
        conntrack.name_of(part.body): part.body
        for question in conntrack.questions(family, addresses)
        for part in socket.dump(Step("conntrack -L", message(kind, NLM_F_DUMP, generic + question)), only=concerned)
    }


def _flow(original: bytes, reply: bytes) -> Flow | None:
    """Return what was asked for: who opened the connection, and who answers it where a Service was translated."""
    proto = attributes(attributes(reply, 0).get(CTA_TUPLE_PROTO, b""), 0)
    source, answering = _source(original), _source(reply)
    if source is None or answering is None:
        return None
    protocol = int.from_bytes(proto.get(CTA_PROTO_NUM, b""), "big")
    return Flow(source, answering, protocol, int.from_bytes(proto.get(CTA_PROTO_SRC_PORT, b""), "big"))


def _source(tuple_: bytes) -> Address | None:
    ip = attributes(attributes(tuple_, 0).get(CTA_TUPLE_IP, b""), 0)
    packed = ip.get(conntrack.CTA_IP_V4_SRC) or ip.get(conntrack.CTA_IP_V6_SRC)
    return ip_address(packed) if packed else None


def _update(name: bytes, wanted: int, bit: int) -> Step:
    values = attribute(CTA_MARK, wanted.to_bytes(4, "big")) + attribute(CTA_MARK_MASK, bit.to_bytes(4, "big"))
    text = f"conntrack -U --mark {wanted:#x}/{bit:#x}"
    return Step(text, message(NFNL_SUBSYS_CTNETLINK | IPCTNL_MSG_CT_NEW, NLM_F_ACK, name + values))
