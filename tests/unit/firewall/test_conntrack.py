"""Forgetting the connections of an address."""

import errno
import struct
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from unittest.mock import patch

import pytest

from slash80.addressing.family import Address
from slash80.addressing.openings import PortMapping
from slash80.addressing.ports import SCTP, TCP, UDP
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


HOST, HOST6 = ip_address("192.0.2.2"), ip_address("2001:db8:1::2")


class Flows(Connections):
    """Has connections, as protocol, target and port of the original direction."""

    def __init__(self, *flows: tuple[int, Address, int]) -> None:
        super().__init__()
        self._flows = flows

    def dump(
        self, step: Step, *, allow_interrupted: bool = False, only: Callable[[bytes], bool] | None = None
    ) -> list[Message]:
        """Return those of the family that is asked for, as the kernel does."""
        self.asked += 1
        version = {2: 4, 10: 6}[step.message[16]]
        bodies = [bytes(4) + _flow(*one) for one in self._flows if one[1].version == version]
        return [Message(0, body) for body in bodies if only is None or only(body)]


def _flow(protocol: int, target: Address, port: int) -> bytes:
    ip = attribute(1, attribute(2 if target.version == 4 else 4, target.packed))
    proto = attribute(1, bytes([protocol])) + attribute(3, struct.pack(">H", port))
    return attribute(ORIGINAL, ip + attribute(2, proto))


@pytest.mark.parametrize(
    ("host", "gone"),
    [
        ("0.0.0.0", [(17, HOST, 53), (17, ip_address("127.0.0.1"), 53)]),
        ("::", [(17, HOST6, 53), (17, ip_address("::1"), 53)]),
        ("192.0.2.2", [(17, HOST, 53)]),
        ("2001:db8:1::2", [(17, HOST6, 53)]),
    ],
)
def test_udp_connections_to_a_host_port_are_deleted(host: str, gone: list[tuple[int, Address, int]]) -> None:
    """Of every address of the node's or of one; not those to other hosts, other ports, or of other protocols."""
    others = [(6, HOST, 53), (17, HOST, 54), (17, OTHER, 53), (17, OTHER6, 53), (6, HOST6, 53)]
    hosts = [(17, HOST, 53), (17, ip_address("127.0.0.1"), 53), (17, HOST6, 53), (17, ip_address("::1"), 53)]
    kernel = Flows(*others, *hosts)
    with patch.object(conntrack, "Socket", lambda _: kernel):
        assert len(gone) == conntrack.forget_ports([PortMapping(UDP, ip_address(host), 53, 5353)], [HOST, HOST6])

    assert [_flow(*one)[4:] for one in gone] == [found[ORIGINAL] for found in kernel.deleted]


def test_other_protocols_begin_again_by_themselves() -> None:
    """A mapping of TCP or SCTP costs no walk over the table."""
    with patch.object(conntrack, "Socket", side_effect=AssertionError):
        assert 0 == conntrack.forget_ports([PortMapping(TCP, HOST, 53, 53), PortMapping(SCTP, HOST, 53, 53)], [HOST])


def test_connections_of_a_port_that_cannot_be_deleted_are_told() -> None:
    """The message names the host port."""
    with (
        patch.object(conntrack, "Socket", side_effect=OSError(errno.EPROTONOSUPPORT, "Protocol not supported")),
        pytest.raises(FirewallUnusable, match=r"udp 192\.0\.2\.2:53 cannot be deleted: Protocol not supported"),
    ):
        conntrack.forget_ports([PortMapping(UDP, HOST, 53, 53)], [HOST])


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
