"""Chain `next_hops`: how many hosts on the node's links a pod reaches for the first time."""

import pytest

from unit.firewall.chains.packets import CLOSED, OTHER_POD, UPLINK, Packet, Table, inbound, outbound

VERSIONS = pytest.mark.parametrize("version", [4, 6])


def judged(packet: Packet) -> str:
    """Return what happens to a packet."""
    return Table(CLOSED).verdict("next_hops", packet)


@VERSIONS
def test_new_next_hops_of_a_pod_are_limited(version: int) -> None:
    """Within the rate a host is remembered, beyond it the packet ends before the kernel looks the host up."""
    assert ["accept", "drop"] == [judged(outbound(version, within_rate=one)) for one in (True, False)]


@VERSIONS
@pytest.mark.parametrize("way", [{"iif": UPLINK}, {"iif": ""}, {"oif": OTHER_POD}, {"oif": "wg0"}])
def test_nothing_else_is(way: dict[str, str], version: int) -> None:
    """Not what the node sends, not what stays on it, and not what leaves by a tunnel, which resolves nothing."""
    assert "accept" == judged(outbound(version, within_rate=False, **way))
    assert "accept" == judged(inbound(version, within_rate=False))
