"""Chain `masquerading`: which packets of pods leave with the node's address."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from slash80.addressing.family import FAMILIES, IPV4, IPV6, Family
from slash80.firewall.records import Settings
from unit.firewall.chains.packets import CLOSED, OTHER_POD, POD, UPLINK, Table, inbound, outbound

KEPT = {4: "10.80.0.0/16", 6: "2001:db8::/32"}
BOTH = replace(CLOSED, masquerade=FAMILIES, keep_source=tuple(map(ip_network, KEPT.values())))
VERSIONS = pytest.mark.parametrize("version", [4, 6])


def leaving(settings: Settings, version: int, **packet: object) -> str:
    """Return what is done to a pod's packet on its way out."""
    return Table(settings).verdict("masquerading", outbound(version, **packet))


@VERSIONS
@pytest.mark.parametrize("families", [(), (IPV4,), (IPV6,), (IPV4, IPV6)])
def test_only_pods_of_the_configured_families_are_hidden(families: tuple[Family, ...], version: int) -> None:
    """A pod's packet to the Internet leaves with the node's address in the families that `masquerade` is set for."""
    hidden = version in {family.version for family in families}

    assert ("masquerade" if hidden else "accept") == leaving(replace(BOTH, masquerade=families), version)


@VERSIONS
def test_destinations_that_keep_the_source_see_the_pods_address(version: int) -> None:
    """The cluster's own prefixes and those of `noMasquerade` are reached without translation."""
    assert leaving(BOTH, version, target=str(ip_network(KEPT[version])[7])) == "accept"


@VERSIONS
def test_a_destination_is_translated_where_no_prefix_keeps_the_source(version: int) -> None:
    """Without any such prefix the sets exist and are empty, and everything outside of the node is translated."""
    assert leaving(replace(BOTH, keep_source=()), version, target=str(ip_network(KEPT[version])[7])) == "masquerade"


@pytest.mark.parametrize(("version", "group"), [(4, "224.0.0.251"), (4, "239.1.2.3"), (6, "ff02::fb"), (6, "ff0e::1")])
def test_multicast_keeps_its_source(version: int, group: str) -> None:
    """The members of a group must see who sent to it, as in mDNS, where they reply to that address."""
    assert leaving(BOTH, version, target=group) == "accept"


@VERSIONS
def test_packets_between_pods_of_the_node_keep_their_source(version: int) -> None:
    """A packet that goes from one host end to another never leaves the node."""
    assert leaving(BOTH, version, oif=OTHER_POD) == "accept"


@VERSIONS
@pytest.mark.parametrize(("iif", "oif"), [(UPLINK, POD), (UPLINK, "eth1"), ("lo", UPLINK)])
def test_only_what_comes_from_a_pod_is_translated(iif: str, oif: str, version: int) -> None:
    """Packets to pods, those that the node routes for others and its own are left alone."""
    assert Table(BOTH).verdict("masquerading", inbound(version, iif=iif, oif=oif)) == "accept"


def test_ports_are_chosen_at_random() -> None:
    """Two connections that begin at once would otherwise get the same port, and one would lose its first packet."""
    rules = [rule for rule in Table(BOTH).rules if "masquerade" in rule]

    assert 5 == len(rules)
    assert all(rule.endswith("masquerade fully-random") for rule in rules)


@VERSIONS
@pytest.mark.parametrize(("l4proto", "expected"), [(6, "drop"), (17, "drop"), (1, "masquerade"), (132, "masquerade")])
def test_a_pod_gets_its_share_of_the_ports_of_one_destination(l4proto: int, expected: str, version: int) -> None:
    """All pods share them; who keeps its own address needs none of them."""
    assert expected == leaving(BOTH, version, l4proto=l4proto, within_rate=False)
    assert leaving(BOTH, version, target=str(ip_network(KEPT[version])[7]), within_rate=False) == "accept"


def test_a_share_is_half_of_the_ports() -> None:
    """TCP keeps a port for two minutes after the end of the connection, UDP for half a minute after its only packet."""
    limits = {
        protocol: [rule for rule in Table(BOTH).rules if f"daddr . {protocol} dport" in rule]
        for protocol in ("tcp", "udp")
    }

    assert all(" limit rate over 250/second burst 1000 packets }" in rule for rule in limits["tcp"])
    assert all(" limit rate over 1000/second burst 4000 packets }" in rule for rule in limits["udp"])
    assert [2, 2] == list(map(len, limits.values()))
