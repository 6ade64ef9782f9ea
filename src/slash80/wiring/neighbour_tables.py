"""How full the kernel's tables of neighbours are: one for each family, which all network namespaces of a node share."""

from __future__ import annotations

import struct
import sys
from typing import NamedTuple

from slash80.addressing.family import IPV4, IPV6, Family
from slash80.netlink.codec import Step, attributes, message, some_attributes
from slash80.netlink.constants import NLM_F_DUMP
from slash80.netlink.socket import Socket

# include/uapi/linux/neighbour.h
RTM_GETNEIGHTBL, NDTA_NAME, NDTA_THRESH3, NDTA_CONFIG = 66, 1, 4, 5
_NDTMSG = struct.Struct("=Bxxx")
_ENTRIES = struct.Struct("=HHI")  # the beginning of struct ndt_config: key length, entry size, entries
_TABLES = {b"arp_cache": IPV4, b"ndisc_cache": IPV6}
_CONFIG = frozenset({NDTA_CONFIG})
_STEP = Step("ip ntable show", message(RTM_GETNEIGHTBL, NLM_F_DUMP, _NDTMSG.pack(0)))


class Filling(NamedTuple):
    """How many entries a table has, and how many it may have (gc_thresh3)."""

    entries: int
    limit: int


def fillings(socket: Socket) -> dict[Family, Filling]:
    """Return how full each family's table is."""
    found: dict[Family, Filling] = {}
    for part in socket.dump(_STEP, allow_interrupted=True, only=_is_table):
        listed = attributes(part.body, _NDTMSG.size)
        if family := _TABLES.get(listed[NDTA_NAME].rstrip(b"\0")):
            _, _, entries = _ENTRIES.unpack_from(listed[NDTA_CONFIG])
            found[family] = Filling(entries, int.from_bytes(listed[NDTA_THRESH3], sys.byteorder))
    return found


def _is_table(body: bytes) -> bool:
    """Report whether a message is about a whole table: there is one about each link, too."""
    return NDTA_CONFIG in some_attributes(body, _NDTMSG.size, _CONFIG)
