"""Forgetting the connections of an address."""

import errno
import struct
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from slash80.addressing.family import Address
from slash80.firewall import conntrack
from slash80.netlink import Answer, NetlinkError, Part, Step, attribute, attributes
from unit.kernels import Kernel

ORIGINAL, REPLY, ZONE = 1, 2, 18
MINE, OTHER = ip_address("10.80.1.5"), ip_address("10.80.1.6")
MINE6, OTHER6 = ip_address("2001:db8::5"), ip_address("2001:db8::6")
Connection = tuple[Address, Address, int]


class Connections(Kernel):
    """Has connections, as original source, reply source and zone, and gives all whatever the filter says."""

    def __init__(self, *connections: Connection, code: int = 0) -> None:
        super().__init__({})
        self._connections, self._code = connections, code
        self.deleted: list[dict[int, bytes]] = []

    def dump(self, step: Step, *, disturbed: bool = False) -> list[Part]:
        """Give them as the kernel does."""
        return [
            Part(0, bytes(4) + _tuple(ORIGINAL, one) + _tuple(REPLY, two) + _zone(zone))
            for one, two, zone in self._connections
        ]

    def exchange(self, steps: Sequence[Step]) -> list[Answer]:
        """Note what is to be deleted."""
        self.deleted += [attributes(step.message, 20) for step in steps]
        return [Answer(self._code) for _ in steps]


def _tuple(kind: int, source: Address) -> bytes:
    return attribute(kind, attribute(1, attribute(1 if source.version == 4 else 3, source.packed)))


def _zone(zone: int) -> bytes:
    return attribute(ZONE, struct.pack(">H", zone)) if zone else b""


@pytest.mark.parametrize(("mine", "other"), [(MINE, OTHER), (MINE6, OTHER6)])
def test_only_the_connections_of_the_address_are_deleted(mine: Address, other: Address) -> None:
    """Those that it began and those to it, each named by its original direction and its zone."""
    kernel = Connections((mine, other, 0), (other, mine, 7), (other, other, 0))

    assert [1, 1] == [conntrack._forget(kernel, mine, direction) for direction in (ORIGINAL, REPLY)]
    assert [[ORIGINAL], [ORIGINAL, ZONE]] == [sorted(found) for found in kernel.deleted]
    assert [_tuple(ORIGINAL, mine)[4:], _tuple(ORIGINAL, other)[4:]] == [found[ORIGINAL] for found in kernel.deleted]


def test_a_connection_that_ended_meanwhile_is_no_failure() -> None:
    """It is gone, which is all that was wanted."""
    assert 1 == conntrack._forget(Connections((MINE, OTHER, 0), code=errno.ENOENT), MINE, ORIGINAL)


def test_a_refusal_is_told() -> None:
    """The pod must not get an address whose old connections are let in."""
    with pytest.raises(NetlinkError, match="conntrack -D"):
        conntrack._forget(Connections((MINE, OTHER, 0), code=errno.EPERM), MINE, ORIGINAL)
