"""Chains `forged` and `reverse_path`: whose packets from outside are what their source says."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from unit.firewall.chains.packets import CLOSED, POD, POD_ADDRESS, STRANGER, TRUSTED, Table, inbound

STRICT = replace(CLOSED, trusted=tuple(map(ip_network, TRUSTED.values())))
LOOSE = replace(STRICT, strict=False)
SERVICES = replace(STRICT, services=tuple(map(ip_network, ("10.96.0.0/16", "fd00:10:96::/112"))))
OWN = ("10.80.1.0/24", "2001:db8:0:1:1::/80", "192.0.2.2/32", "2001:db8:0:1::2/128")
NODE = {4: "192.0.2.2", 6: "2001:db8:0:1::2"}
NEW_ADDRESS = {4: "192.0.2.3", 6: "2001:db8:0:1::3"}
UNUSED = {4: "10.80.1.77", 6: "2001:db8:0:1:1::77"}
CLUSTER_IP = {4: "10.96.0.7", 6: "fd00:10:96::7"}
ECHO = {4: {"icmp": "echo-request", "l4proto": 1}, 6: {"icmp": "echo-request", "l4proto": 58}}
VERSIONS = pytest.mark.parametrize("version", [4, 6])


def arriving(chain: str, version: int, settings: object = STRICT, **packet: object) -> str:
    """Return what a base chain does with a packet from outside."""
    table = Table(settings, own=OWN, local=(*NODE.values(), *NEW_ADDRESS.values()))  # type: ignore[arg-type]
    return table.verdict(chain, inbound(version, **packet))


@VERSIONS
@pytest.mark.parametrize("state", ["new", "established"])
def test_what_is_the_nodes_own_comes_from_no_link_outside(version: int, state: str) -> None:
    """Addresses of pods, of no pod yet and of the node are dropped in packets of every connection."""
    for source in (POD_ADDRESS[version], UNUSED[version], NODE[version]):
        assert arriving("source", version, source=source, state=state, way_back=False) == "drop"


@VERSIONS
def test_a_subnet_of_another_link_may_lie_in_a_prefix(version: int) -> None:
    """The route leads back to that link, so the packet is honest."""
    assert arriving("source", version, source=UNUSED[version], iif="docker0") == "accept"


@VERSIONS
def test_what_the_node_sends_to_itself_goes_on(version: int) -> None:
    """It comes in by the loopback link."""
    for chain in ("source", "reverse_path"):
        assert arriving(chain, version, source=NODE[version], iif="lo") == "accept"


@VERSIONS
def test_an_address_that_the_node_has_just_got_opens_no_connection(version: int) -> None:
    """The kernel knows it before the sets do."""
    assert arriving("reverse_path", version, source=NEW_ADDRESS[version]) == "drop"


@VERSIONS
@pytest.mark.parametrize(("settings", "expected"), [(STRICT, "drop"), (LOOSE, "accept")])
def test_a_trusted_source_counts_where_the_way_back_leads(version: int, settings: object, expected: str) -> None:
    """On another link it is a stranger's, unless the setting is `loose`."""
    assert arriving("reverse_path", version, settings, source=TRUSTED[version]) == "accept"
    assert arriving("reverse_path", version, settings, source=TRUSTED[version], way_back=False) == expected


@VERSIONS
@pytest.mark.parametrize("settings", [STRICT, LOOSE])
def test_an_unused_address_is_never_trusted(version: int, settings: object) -> None:
    """Not even where the default route leads to it, as when its discard route was deleted."""
    assert arriving("reverse_path", version, settings, source=UNUSED[version]) == "drop"


@VERSIONS
def test_a_misrouted_source_is_a_stranger(version: int) -> None:
    """What a pod began, NodePorts and the node's own ports are open to it, pings are limited, ClusterIPs are closed."""

    def misrouted(**packet: object) -> str:
        return arriving("reverse_path", version, SERVICES, source=TRUSTED[version], way_back=False, **packet)

    assert misrouted(state="established") == "accept"
    assert misrouted(original=NODE[version]) == "accept"
    assert misrouted(original=CLUSTER_IP[version]) == "drop"
    assert misrouted(original=CLUSTER_IP[version], oif="eth0") == "drop"
    assert misrouted(oif="lo") == "accept"
    assert [misrouted(**ECHO[version], within_rate=rate) for rate in (True, False)] == ["accept", "drop"]


@VERSIONS
def test_pings_of_a_misrouted_source_are_limited_after_the_first(version: int) -> None:
    """All echo requests of a series but the first belong to an established connection."""
    packet = {"source": TRUSTED[version], "way_back": False, "state": "established", "within_rate": False}
    assert arriving("reverse_path", version, **ECHO[version], **packet) == "drop"


@VERSIONS
def test_strangers_and_pods_are_judged_elsewhere(version: int) -> None:
    """A stranger may come by any link; a pod's addresses are for chain `source`."""
    assert arriving("reverse_path", version, source=STRANGER[version], way_back=False) == "accept"
    assert arriving("reverse_path", version, source=NODE[version], iif=POD) == "accept"


def test_link_local_addresses_are_those_of_their_link() -> None:
    """Another link of the node may have the router's address, which sends neighbour discovery and advertisements."""
    table = Table(STRICT, local=("fe80::1",))

    assert table.verdict("reverse_path", inbound(6, source="fe80::1", icmp="nd-router-advert")) == "accept"


def test_an_open_network_asks_for_the_nodes_addresses_only() -> None:
    """No source is trusted more than others there."""
    settings = replace(STRICT, closed=False)

    assert arriving("reverse_path", 6, settings, source=TRUSTED[6], way_back=False) == "accept"
    assert arriving("reverse_path", 6, settings, source=NEW_ADDRESS[6]) == "drop"


def test_the_chain_sees_what_services_made_of_a_packet() -> None:
    """The way back depends on the pod's address."""
    hook, priority, _ = Table(CLOSED).hook("reverse_path")

    assert ("prerouting", True) == (hook, -100 < priority < 0)
