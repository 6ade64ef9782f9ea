"""Which connections end with a prefix that is not trusted any more."""

import errno
import struct
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from unittest.mock import patch

import pytest

from slash80.errors import FirewallUnusable
from slash80.firewall import cut_off
from slash80.netlink.codec import Message, Step, attribute
from unit.firewall.test_conntrack import ORIGINAL, REPLY, Connections

STATUS = 3
TCP, UDP, SCTP = 6, 17, 132
EXPECTED = 1
OURS = [ip_network("2001:db8:0:1:1::/80"), ip_network("10.80.0.0/16")]
GONE = [ip_network("2001:db8:2::/48"), ip_network("10.82.0.0/16")]
PODS = ("2001:db8:0:1:1::5", "10.80.1.5")
THEIRS = ("2001:db8:2::7", "10.82.0.7")
OTHERS = ("2001:db8:3::7", "10.83.0.7")
Entry = tuple[str, str, int, int]


class Tracked(Connections):
    """Has connections: who opened each, who answers, the protocol and the status."""

    def __init__(self, *entries: Entry) -> None:
        super().__init__()
        self._entries = entries

    def dump(
        self, step: Step, *, allow_interrupted: bool = False, only: Callable[[bytes], bool] | None = None
    ) -> list[Message]:
        """Return those of the family that is asked for."""
        version = {2: 4, 10: 6}[step.message[16]]
        bodies = [_entry(*one) for one in self._entries if ip_address(one[0]).version == version]
        return [Message(0, body) for body in bodies if only is None or only(body)]


def _tuple(kind: int, source: str, protocol: int) -> bytes:
    address = ip_address(source)
    ip = attribute(1, attribute(1 if address.version == 4 else 3, address.packed))
    return attribute(kind, ip + attribute(2, attribute(1, bytes([protocol]))))


def _entry(opened: str, answers: str, protocol: int, status: int) -> bytes:
    tuples = _tuple(ORIGINAL, opened, protocol) + _tuple(REPLY, answers, protocol)
    return bytes(4) + tuples + attribute(STATUS, struct.pack(">I", status))


def _ended(*entries: Entry, trusted: str = "2001:db8:3::/48") -> int:
    with patch.object(cut_off, "Socket", lambda _: Tracked(*entries)):
        return cut_off.end(GONE, ours=OURS, trusted=[ip_network(trusted)])


@pytest.mark.parametrize("family", [0, 1], ids=["IPv6", "IPv4"])
@pytest.mark.parametrize("protocol", [TCP, UDP, SCTP])
def test_what_pods_opened_to_it_ends(family: int, protocol: int) -> None:
    """Whatever the protocol: the next packet of the pod begins it again only where any host may be reached so."""
    assert 1 == _ended((PODS[family], THEIRS[family], protocol, 0))


@pytest.mark.parametrize("family", [0, 1], ids=["IPv6", "IPv4"])
def test_tcp_that_it_opened_ends(family: int) -> None:
    """No TCP begins again without a SYN, from either side."""
    assert 1 == _ended((THEIRS[family], PODS[family], TCP, 0))


@pytest.mark.parametrize("protocol", [UDP, SCTP, 1, 58])
def test_other_protocols_that_it_opened_keep_their_entries(protocol: int) -> None:
    """Without its entry what the pod sends would be a connection of its own, to which all that comes is an answer."""
    assert 0 == _ended((THEIRS[0], PODS[0], protocol, 0))
    assert 1 == _ended((THEIRS[0], PODS[0], protocol, EXPECTED))


@pytest.mark.parametrize(
    ("opened", "answers"),
    [(OTHERS[0], PODS[0]), (PODS[1], OTHERS[1]), (THEIRS[0], "2001:db8::2"), ("192.0.2.2", THEIRS[1])],
)
def test_connections_of_others_stay(opened: str, answers: str) -> None:
    """Those of members that remain, and those of the node itself with hosts of the prefix."""
    assert 0 == _ended((opened, answers, TCP, 0))


def test_hosts_that_another_prefix_trusts_keep_their_connections() -> None:
    """A member whose prefix becomes a longer one loses what is outside of it only."""
    entries = (THEIRS[0], PODS[0], TCP, 0), ("2001:db8:2:8::7", PODS[0], TCP, 0), (PODS[0], THEIRS[0], UDP, 0)
    assert 1 == _ended(*entries, trusted="2001:db8:2::/64")


def test_connections_that_cannot_be_ended_are_a_sentence() -> None:
    """It names the prefixes and the module that the node lacks."""
    with (
        patch.object(cut_off, "Socket", side_effect=OSError(errno.EPROTONOSUPPORT, "Protocol not supported")),
        pytest.raises(
            FirewallUnusable, match=r"10\.82\.0\.0/16, 2001:db8:2::/48, which are not .*nf_conntrack_netlink"
        ),
    ):
        cut_off.end(GONE, ours=OURS, trusted=[])
