"""Forgetting the connections of an address."""

import errno
import struct
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from unittest.mock import patch

import pytest

from slash80.addressing.family import Address
from slash80.errors import FirewallUnusable
from slash80.firewall import conntrack
from slash80.netlink.codec import Message, Response, Step, attribute, attributes
from unit.kernels import Kernel, subsystem

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
        self.asked = 0

    def dump(
        self, step: Step, *, allow_interrupted: bool = False, only: Callable[[bytes], bool] | None = None
    ) -> list[Message]:
        """Return them as the kernel does."""
        self.asked += 1
        assert 1 == subsystem(step)  # NFNL_SUBSYS_CTNETLINK
        bodies = [
            bytes(4) + _tuple(ORIGINAL, one) + _tuple(REPLY, two) + _zone(zone) for one, two, zone in self._connections
        ]
        return [Message(0, body) for body in bodies if only is None or only(body)]

    def exchange(self, steps: Sequence[Step]) -> list[Response]:
        """Note what is to be deleted."""
        assert all(subsystem(step) == 1 for step in steps)
        self.deleted += [attributes(step.message, 20) for step in steps]
        return [Response(self._code) for _ in steps]


def _tuple(kind: int, source: Address) -> bytes:
    return attribute(kind, attribute(1, attribute(1 if source.version == 4 else 3, source.packed)))


def _zone(zone: int) -> bytes:
    return attribute(ZONE, struct.pack(">H", zone)) if zone else b""


def forget(kernel: Connections, *addresses: Address) -> int:
    """Have the connections of the addresses forgotten."""
    with patch.object(conntrack, "Socket", lambda _: kernel):
        return conntrack.forget(addresses)


@pytest.mark.parametrize(("mine", "other"), [(MINE, OTHER), (MINE6, OTHER6)])
def test_only_the_connections_of_the_address_are_deleted(mine: Address, other: Address) -> None:
    """Connections from and to the address are deleted, each named by its original direction and its zone."""
    kernel = Connections((mine, other, 0), (other, mine, 7), (other, other, 0))

    assert 2 == forget(kernel, mine)
    assert [[ORIGINAL], [ORIGINAL, ZONE]] == [sorted(found) for found in kernel.deleted]
    assert [_tuple(ORIGINAL, mine)[4:], _tuple(ORIGINAL, other)[4:]] == [found[ORIGINAL] for found in kernel.deleted]


def test_a_connection_between_two_of_them_is_deleted_once() -> None:
    """A connection between two of the addresses is found at both, and counted and deleted once."""
    kernel = Connections((MINE, OTHER, 0), (MINE6, OTHER6, 0))

    assert 2 == forget(kernel, MINE, OTHER, MINE6, OTHER6)
    assert 2 == len(kernel.deleted)


@pytest.mark.parametrize(
    ("addresses", "asked"),
    [
        ([], 0),
        ([MINE], 2),
        ([MINE6], 1),
        ([MINE, MINE6], 3),
        ([IPv4Address(number) for number in range(5)], 1),
        ([IPv6Address(number) for number in range(500)], 1),
    ],
)
def test_the_kernel_walks_over_its_table_as_seldom_as_it_can(addresses: list[Address], asked: int) -> None:
    """It filters by one IPv4 source at a time; for many addresses, and for IPv6, one dump lists all entries."""
    kernel = Connections()

    assert 0 == forget(kernel, *addresses)
    assert asked == kernel.asked


def test_a_connection_that_ended_meanwhile_is_no_failure() -> None:
    """It is gone, which is all that was wanted."""
    assert 1 == forget(Connections((MINE, OTHER, 0), code=errno.ENOENT), MINE)


def test_a_refusal_is_told() -> None:
    """An error is raised when connections cannot be deleted, since the next pod would inherit them."""
    with pytest.raises(FirewallUnusable, match=f"old connections of {MINE} cannot be deleted: 'conntrack -D' failed"):
        forget(Connections((MINE, OTHER, 0), code=errno.EPERM), MINE)
