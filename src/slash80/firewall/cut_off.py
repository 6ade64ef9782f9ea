"""Ending the connections of prefixes that are not trusted any more, by their entries of connection tracking.

Chain `edge` refuses what comes from there in any case. What the pod goes on to send would still leave, and its own
connections would go on, so entries are deleted: then chain `midstream` refuses TCP without a SYN, from either side.

Not those of UDP and the like that were opened from outside: the next packet of the pod would begin a connection of the
pod's own, to which all that comes from there is an answer, as QUIC's servers repeat what is not acknowledged. With its
entry it stays one that was opened from outside, of which nothing gets in any more.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Collection

from slash80.addressing.family import FAMILIES, Family, Prefix
from slash80.errors import FirewallUnusable
from slash80.firewall import conntrack
from slash80.firewall.conntrack import (
    CTA_PROTO_NUM,
    CTA_STATUS,
    CTA_TUPLE_ORIG,
    CTA_TUPLE_PROTO,
    CTA_TUPLE_REPLY,
    IPS_EXPECTED,
    SOURCE_AT,
)
from slash80.firewall.records import IPPROTO_TCP, of_family
from slash80.netlink.codec import attributes, some_attributes
from slash80.netlink.constants import NETLINK_NETFILTER
from slash80.netlink.socket import Socket

_ENTRY = frozenset({CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_STATUS})
_HEADER = 4


def end(gone: Collection[Prefix], *, ours: Collection[Prefix], trusted: Collection[Prefix]) -> int:
    """End the connections between hosts of prefixes that are gone and pods; return how many.

    `ours` are the pods' prefixes, `trusted` what is trusted now, which may hold some of those hosts. Raise
    FirewallUnusable when connection tracking cannot be asked.
    """
    try:
        with Socket(NETLINK_NETFILTER) as socket:
            return sum(
                conntrack.delete(socket, family, [b""], concerned=_judge(family, gone, ours=ours, trusted=trusted))
                for family in FAMILIES
                if of_family(family, gone)
            )
    except OSError as error:
        named = ", ".join(sorted(map(str, gone))[:4])
        msg = f"connections of {named}, which are not trusted any more, cannot be ended: {error.strerror}"
        raise FirewallUnusable(f"{msg}; enable nf_conntrack_netlink on the node") from error


def _judge(
    family: Family, gone: Collection[Prefix], *, ours: Collection[Prefix], trusted: Collection[Prefix]
) -> Callable[[bytes], bool]:
    """Return what reports whether an entry is of a connection that has to end."""
    size, left = family.bits // 8, _Numbers(family, gone)
    pods, still = _Numbers(family, ours), _Numbers(family, trusted)

    def concerned(body: bytes) -> bool:
        found = some_attributes(body, _HEADER, _ENTRY)
        opened, answered = (
            int.from_bytes(found[kind][SOURCE_AT : SOURCE_AT + size]) for kind in (CTA_TUPLE_ORIG, CTA_TUPLE_REPLY)
        )
        if answered in left and opened in pods:
            return answered not in still
        return opened in left and answered in pods and opened not in still and _may_be_deleted(found)

    return concerned


def _may_be_deleted(found: dict[int, bytes]) -> bool:
    """Report whether nothing that the pod sends makes a connection from outside the pod's own.

    One that a helper expects passes chain `edge` in both directions, so it has to go.
    """
    if struct.unpack(">I", found.get(CTA_STATUS, bytes(4)))[0] & IPS_EXPECTED:
        return True
    proto = attributes(attributes(found[CTA_TUPLE_ORIG], 0).get(CTA_TUPLE_PROTO, b""), 0)
    return proto.get(CTA_PROTO_NUM) == bytes([IPPROTO_TCP])


class _Numbers:
    """The addresses of prefixes as numbers: a node may have 262,144 entries to be asked about."""

    def __init__(self, family: Family, prefixes: Collection[Prefix]) -> None:
        ordered = of_family(family, prefixes)
        self._firsts = [int(one.network_address) for one in ordered]
        self._lasts = [int(one.broadcast_address) for one in ordered]

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]
