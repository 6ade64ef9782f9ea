"""How full the kernel's tables of neighbours are."""

import struct

from slash80.addressing.family import IPV4, IPV6
from slash80.netlink.codec import attribute
from slash80.wiring.neighbour_tables import NDTA_CONFIG, NDTA_NAME, NDTA_THRESH3, Filling, fillings
from unit.kernels import Kernel

NDTA_PARMS = 6


def table(name: str, count: int) -> bytes:
    """Return what the kernel says of a whole table."""
    config = attribute(NDTA_CONFIG, struct.pack("=HHIIIIIIII", 4, 360, count, 0, 0, 0, 0, 0, 0, 0))
    return (
        bytes(4)
        + attribute(NDTA_NAME, name.encode() + b"\0")
        + attribute(NDTA_THRESH3, struct.pack("=I", 1024))
        + config
    )


def test_each_family_has_its_table() -> None:
    """What is about single links, and tables of other families, is passed over."""
    link = bytes(4) + attribute(NDTA_NAME, b"arp_cache\0") + attribute(NDTA_PARMS, bytes(8))
    bodies = [table("arp_cache", 3), link, table("clip_arp_cache", 9), table("ndisc_cache", 70_000)]
    expected = {IPV4: Filling(3, 1024), IPV6: Filling(70_000, 1024)}
    assert expected == fillings(Kernel({"ip ntable show": bodies}))
