"""Chain `metadata`: which metadata services of clouds a pod reaches, and what else is at their addresses."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from slash80.addressing.metadata import SERVICES4, SERVICES6
from unit.firewall.chains.packets import CLOSED, OTHER_POD, POD, POD_ADDRESS, UPLINK, Table, outbound

TRANSLATED = ("64:ff9b::a9fe:a9fe", "64:ff9b::169.254.170.2", "::ffff:168.63.129.16", "2001:db8:64::100.100.100.200")
ALL = (*map(str, (*SERVICES4, *SERVICES6)), *TRANSLATED)
LEFT_OPEN = [(6, 53), (17, 53), (17, 123)]
MODES = pytest.mark.parametrize("closed", [True, False])
EVERY = pytest.mark.parametrize("address", ALL)


def sent(address: str, *, opened: tuple[str, ...] = (), closed: bool = True, **packet: object) -> str:
    """Return what happens to a pod's packet to this address."""
    settings = replace(CLOSED, closed=closed, metadata_open=tuple(map(ip_address, opened)))
    return Table(settings).verdict("edge", outbound(ip_address(address).version, target=address, **packet))


@MODES
@EVERY
def test_a_pod_reaches_no_metadata_service(address: str, closed: bool) -> None:  # noqa: FBT001 -- a value of the table
    """By whatever protocol, and whether its network is open to the outside or not."""
    for protocol, port in ((6, 80), (17, 80), (6, 123), (132, 53), (1, 0), (58, 0)):
        assert sent(address, closed=closed, l4proto=protocol, dport=port) == "drop"


@EVERY
@pytest.mark.parametrize("state", ["established", "invalid", "untracked", "related"])
def test_every_packet_is_asked(address: str, state: str) -> None:
    """What was begun while the service was open ends when it is closed."""
    assert sent(address, state=state, dport=80) == "drop"


@EVERY
@pytest.mark.parametrize(("protocol", "port"), LEFT_OPEN)
def test_resolvers_and_clocks_at_these_addresses_answer(address: str, protocol: int, port: int) -> None:
    """CoreDNS forwards to them in some clouds, and it is a pod."""
    assert sent(address, l4proto=protocol, dport=port) == "accept"


@EVERY
def test_a_pod_answers_who_began_a_connection_there(address: str) -> None:
    """Azure's load balancer probes from 168.63.129.16."""
    assert sent(address, direction="reply", state="established", dport=40000) == "accept"


@EVERY
def test_an_opened_address_is_reached_and_all_others_are_not(address: str) -> None:
    """Opening an IPv4 address opens it to a NAT64 as well, opening an IPv6 address opens that one only."""
    others = [other for other in ALL if sent(other, opened=(address,), dport=80) == "accept"]
    low = int(ip_address(address)) & 0xFFFFFFFF
    translated = [one for one in TRANSLATED if int(ip_address(one)) & 0xFFFFFFFF == low] if ":" not in address else []

    assert {address, *translated} == set(others)


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.253", "169.254.169.123", "169.254.170.23", "fd00:ec2::23", "fd00:ec2::253", "203.0.113.9"),
        *("2a00::9", "64:ff9b::cb00:7109", "2001:db8::a9fe:a9ff"),
    ],
)
def test_what_is_beside_them_is_reached(address: str) -> None:
    """AWS's resolver and clock, the credentials that EKS gives to the pod itself, and the Internet."""
    assert sent(address, dport=80) == "accept"


@EVERY
@pytest.mark.parametrize("links", [(UPLINK, "eth1"), (POD, OTHER_POD)])
def test_what_no_pod_sends_off_the_node_is_not_asked(address: str, links: tuple[str, str]) -> None:
    """Routed packets of others are their business; a pod may have such an address where its prefix has it."""
    assert sent(address, iif=links[0], oif=links[1], source=POD_ADDRESS[ip_address(address).version]) == "accept"
