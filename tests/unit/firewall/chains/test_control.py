"""Chain `control`: what no pod sends to its node, whatever the address that it sends from."""

import pytest

from unit.firewall.chains.packets import CLOSED, POD, POD_ADDRESS, UPLINK, Table, outbound

PODS = frozenset({(POD, POD_ADDRESS[4]), (POD, POD_ADDRESS[6])})
LINK_LOCAL = "fe80::5"
FORBIDDEN = [
    (6, {"icmp": "nd-router-advert", "l4proto": 58, "source": LINK_LOCAL}),
    (6, {"icmp": "nd-redirect", "l4proto": 58, "source": LINK_LOCAL}),
    (4, {"icmp": "redirect", "l4proto": 1}),
    (4, {"icmp": "router-advertisement", "l4proto": 1}),
    (4, {"l4proto": 17, "dport": 68}),
    (6, {"l4proto": 17, "dport": 546, "source": LINK_LOCAL}),
    (4, {"target": "127.0.0.1"}),
    (4, {"target": "127.1.2.3", "l4proto": 17, "state": "established"}),
]
ALLOWED = [
    (6, {"icmp": "nd-neighbor-solicit", "l4proto": 58, "source": LINK_LOCAL}),
    (6, {"icmp": "nd-router-solicit", "l4proto": 58, "source": LINK_LOCAL}),
    (4, {"l4proto": 17, "dport": 67}),
    (6, {"l4proto": 17, "dport": 547}),
    (6, {"l4proto": 6, "dport": 546}),
    (4, {"l4proto": 17, "dport": 53}),
]


def sending(version: int, packet: dict[str, object]) -> str:
    """Return what happens to a pod's packet."""
    return Table(CLOSED, PODS).verdict("source", outbound(version, **packet))


@pytest.mark.parametrize(("version", "packet"), FORBIDDEN)
def test_a_pod_is_neither_router_nor_dhcp_server(version: int, packet: dict[str, object]) -> None:
    """Its own address does not help it, and neither does a route back to it."""
    assert sending(version, packet) == "drop"
    assert sending(version, packet | {"iif": UPLINK}) == "accept"


@pytest.mark.parametrize(("version", "packet"), ALLOWED)
def test_a_pod_asks_as_every_host_does(version: int, packet: dict[str, object]) -> None:
    """Solicitations, questions to servers and all of TCP pass."""
    assert sending(version, packet) == "accept"
