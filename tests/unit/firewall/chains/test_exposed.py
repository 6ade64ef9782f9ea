"""Chain `edge` and ports that everybody may reach: of all pods, and of one pod."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from slash80.addressing.ports import PortRange
from slash80.firewall.records import Settings
from unit.firewall.chains.packets import CLOSED, POD_ADDRESS, TRUSTED, Table, inbound, outbound

OF_ALL = replace(CLOSED, expose=tuple(map(PortRange.parse, ("tcp/443", "udp/8000-8100", "sctp/9"))))
OF_ONE = replace(CLOSED, pods_expose=True)
EXPOSED = [(address, 6, 443) for address in POD_ADDRESS.values()]
VERSIONS = pytest.mark.parametrize("version", [4, 6])
STATES = pytest.mark.parametrize("state", ["new", "established"])


@VERSIONS
@STATES
@pytest.mark.parametrize(("l4proto", "dport"), [(6, 443), (17, 8000), (17, 8050), (17, 8100), (132, 9)])
def test_everybody_reaches_the_ports_that_are_open_at_every_pod(
    version: int, state: str, l4proto: int, dport: int
) -> None:
    """In both families, the first packet and every further one, whichever pod it is sent to."""
    assert Table(OF_ALL).verdict("edge", inbound(version, state=state, l4proto=l4proto, dport=dport)) == "accept"


@VERSIONS
@STATES
@pytest.mark.parametrize(("l4proto", "dport"), [(6, 444), (6, 8050), (17, 443), (17, 7999), (17, 8101), (132, 443)])
def test_all_other_ports_stay_closed(version: int, state: str, l4proto: int, dport: int) -> None:
    """Those beside a range, and the same number of another protocol."""
    assert Table(OF_ALL).verdict("edge", inbound(version, state=state, l4proto=l4proto, dport=dport)) == "drop"


@VERSIONS
@STATES
def test_everybody_reaches_the_ports_of_a_pod_that_exposes_them(version: int, state: str) -> None:
    """Its own addresses only, these ports only; and a connection over them ends when its element goes."""
    opened = Table(OF_ONE, exposed=EXPOSED)
    assert opened.verdict("edge", inbound(version, state=state)) == "accept"
    for packet in ({"dport": 444}, {"l4proto": 17}, {"target": TRUSTED[version]}):
        assert opened.verdict("edge", inbound(version, state=state, **packet)) == "drop"
    assert Table(OF_ONE).verdict("edge", inbound(version, state=state)) == "drop"


@VERSIONS
def test_without_the_right_elements_open_nothing(version: int) -> None:
    """With `firewall.exposeFrom: none` no rule asks for them: the table itself closes all pods at once."""
    assert Table(CLOSED, exposed=EXPOSED).verdict("edge", inbound(version)) == "drop"


@VERSIONS
@pytest.mark.parametrize("settings", [OF_ALL, OF_ONE])
def test_an_exposed_port_is_open_to_misrouted_sources_too(settings: Settings, version: int) -> None:
    """A trusted source that came by a wrong link is a stranger, and the port is open to those."""
    trusting = replace(settings, trusted=tuple(map(ip_network, TRUSTED.values())))
    table = Table(trusting, exposed=EXPOSED)
    for dport, verdict in ((443, "accept"), (444, "drop")):
        packet = inbound(version, source=TRUSTED[version], way_back=False, dport=dport)
        assert table.verdict("reverse_path", packet) == verdict


@VERSIONS
def test_a_pod_does_not_pick_a_strangers_connection_up(version: int) -> None:
    """Its port may have been closed meanwhile, and then the stranger would be in as the one who answers."""
    packet = outbound(version, flags="ack", dport=50_000)
    assert Table(OF_ONE, exposed=EXPOSED).verdict("edge", packet) == "drop"
