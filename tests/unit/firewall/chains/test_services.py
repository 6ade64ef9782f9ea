"""Connections that kube-proxy has translated: which of them reach a pod, for each set of prefixes that is known."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from slash80.addressing.family import FAMILIES
from slash80.firewall.chains import services
from slash80.firewall.records import Settings
from unit.firewall.chains.packets import CLOSED, OTHER_POD, POD, TRUSTED, UPLINK, Table, inbound

CLUSTER_IPS, PODS = ("10.96.0.0/16", "fd00:10:96::/112"), ("10.80.0.0/16", "2001:db8:0:1::/64")
CLUSTER_IP = {4: "10.96.0.10", 6: "fd00:10:96::a"}
POD_ELSEWHERE = {4: "10.80.2.9", 6: "2001:db8:0:1:2::9"}
NODE_PORT = {4: "192.0.2.2", 6: "2001:db8:1::2"}  # an address of the node, or of a load balancer
NOTHING_KNOWN = replace(CLOSED, trusted=tuple(map(ip_network, TRUSTED.values())))
SERVICES_KNOWN = replace(NOTHING_KNOWN, services=tuple(map(ip_network, CLUSTER_IPS)))
PODS_KNOWN = replace(NOTHING_KNOWN, cluster=tuple(map(ip_network, PODS)))
ALL_KNOWN = replace(SERVICES_KNOWN, cluster=PODS_KNOWN.cluster)
VERSIONS = pytest.mark.parametrize("version", [4, 6])
KNOWN = pytest.mark.parametrize("settings", [NOTHING_KNOWN, SERVICES_KNOWN, PODS_KNOWN, ALL_KNOWN])


def judged(settings: Settings, version: int, **packet: object) -> str:
    """Return what happens to a packet that is forwarded."""
    return Table(settings).verdict("edge", inbound(version, **packet))


@VERSIONS
@pytest.mark.parametrize("settings", [SERVICES_KNOWN, ALL_KNOWN])
def test_what_came_to_a_nodeport_passes(settings: Settings, version: int) -> None:
    """A NodePort or a load balancer was opened on purpose, so anybody may reach the pod behind it."""
    assert judged(settings, version, original=NODE_PORT[version]) == "accept"


@VERSIONS
@pytest.mark.parametrize("settings", [NOTHING_KNOWN, PODS_KNOWN])
def test_without_the_ranges_of_services_no_nodeport_is_opened(settings: Settings, version: int) -> None:
    """A NodePort cannot be told from a ClusterIP then, so a stranger reaches no pod through either."""
    assert judged(settings, version, original=NODE_PORT[version]) == "drop"


@VERSIONS
@pytest.mark.parametrize("oif", [POD, UPLINK])
@pytest.mark.parametrize("settings", [SERVICES_KNOWN, ALL_KNOWN])
def test_a_stranger_does_not_reach_a_clusterip(settings: Settings, oif: str, version: int) -> None:
    """A ClusterIP can be routed to a node from outside; what comes is dropped whether the pod is here or elsewhere."""
    assert judged(settings, version, original=CLUSTER_IP[version], oif=oif) == "drop"


@VERSIONS
def test_where_only_pods_are_known_nothing_translated_is_led_on_to_them(version: int) -> None:
    """kube-proxy hides the client behind this node, which the pod's own node trusts, so it must be dropped here."""
    led_on = {"original": NODE_PORT[version], "target": POD_ELSEWHERE[version], "oif": UPLINK}

    assert judged(PODS_KNOWN, version, **led_on) == "drop"
    assert judged(NOTHING_KNOWN, version, **led_on) == "accept"


@KNOWN
@VERSIONS
def test_a_trusted_source_reaches_pods_through_every_service(settings: Settings, version: int) -> None:
    """Another cluster's pods may use Services of this one by whatever address they reach them."""
    for original in (CLUSTER_IP[version], NODE_PORT[version]):
        assert judged(settings, version, original=original, source=TRUSTED[version]) == "accept"


@KNOWN
@VERSIONS
@pytest.mark.parametrize("oif", [POD, UPLINK])
def test_pods_of_the_node_use_clusterips(settings: Settings, version: int, oif: str) -> None:
    """A connection that a pod of this node begins is not from outside, wherever the Service leads."""
    target = POD_ELSEWHERE[version]

    assert judged(settings, version, original=CLUSTER_IP[version], iif=OTHER_POD, oif=oif, target=target) == "accept"


@KNOWN
@VERSIONS
def test_replies_to_a_pods_own_connection_to_a_service_come_back(settings: Settings, version: int) -> None:
    """They come from wherever the Service led, in the other direction of a connection that was translated."""
    reply = {"original": CLUSTER_IP[version], "direction": "reply", "state": "established"}

    assert judged(settings, version, **reply) == "accept"


def test_each_family_has_the_set_that_its_rules_name() -> None:
    """ClusterIPs where those of the family are known, else the cluster's pods, else nothing."""
    mixed = replace(ALL_KNOWN, services=(ip_network(CLUSTER_IPS[0]),), cluster=tuple(map(ip_network, PODS)))
    named = [(one.name, one.elements) for family in FAMILIES for one in services.sets(family, mixed)]

    assert [("services4", (CLUSTER_IPS[0],)), ("cluster6", (PODS[1],))] == named
    assert [] == [one for family in FAMILIES for one in services.sets(family, NOTHING_KNOWN)]
