"""Chain `midstream`: TCP connections of pods to the outside that connection tracking does not know."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from unit.firewall.chains.packets import CLOSED, OTHER_POD, TRUSTED, Table, outbound

TRUSTING = replace(CLOSED, trusted=tuple(map(ip_network, TRUSTED.values())))
VERSIONS = pytest.mark.parametrize("version", [4, 6])
UNKNOWN: dict[str, object] = {"state": "new", "flags": "psh,ack"}


@VERSIONS
def test_a_pods_connection_to_a_stranger_begins_with_a_syn(version: int) -> None:
    """The segment of a connection that the stranger had made would let him in: the pod would have begun it."""
    assert Table(CLOSED).verdict("edge", outbound(version, **UNKNOWN)) == "drop"


@VERSIONS
@pytest.mark.parametrize(
    "honest",
    [
        {"flags": "syn"},
        {"state": "established"},
        {"l4proto": 17},
        {"state": "invalid", "flags": "syn,ack"},
        {"oif": OTHER_POD},
    ],
)
def test_other_packets_of_pods_leave(honest: dict[str, object], version: int) -> None:
    """Who the pod connects to, what belongs to a known connection, UDP, what begins no connection, and other pods."""
    assert Table(CLOSED).verdict("edge", outbound(version, **{**UNKNOWN, **honest})) == "accept"


@VERSIONS
def test_a_connection_is_picked_up_where_no_stranger_gains_by_it(version: int) -> None:
    """A trusted host could open one, an open network is open to all, and after some hours no pod's TCP lives on."""
    packet = outbound(version, target=TRUSTED[version], **UNKNOWN)
    later = Table(CLOSED)
    later.expire("pickup_refused")
    tables = (Table(TRUSTING), Table(replace(CLOSED, closed=False)), later)

    assert ["accept"] * 3 == [table.verdict("edge", packet) for table in tables]
