"""What a configuration and a runtime's requests mean for each room."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import pytest

from slash80.addressing.attachment import Assignment
from slash80.addressing.family import IPV4, IPV6
from slash80.addressing.pool import Pool, Range
from slash80.addressing.ports import PortRange
from slash80.firewall.records import Settings
from slash80.host import compiled_network
from slash80.host.compiled_network import CompiledNetwork
from slash80.settings.network import NetConf
from slash80.wiring.plan import Plan, RouteSpec
from unit.builders import MAC, OPENINGS, PREFIX4, PREFIX6, SANDBOX, attachment, conf, netconf

EVERYTHING4, EVERYTHING6 = ip_network("0.0.0.0/0"), ip_network("::/0")
OTHER = ip_network("192.0.2.0/24")


def _plan(conf: NetConf, *, earlier: int = 0, **changes: Any) -> Plan:  # noqa: ANN401 -- any field
    return compiled_network.plan(CompiledNetwork(conf), attachment(**changes), mtu=1450, earlier=earlier, netns=SANDBOX)


def test_pools_are_those_of_the_configured_families() -> None:
    """Pools have their prefixes in order, exclusions and edges."""
    found = compiled_network.pools(
        netconf(ipv4={"prefixes": [PREFIX4], "exclude": ["10.80.1.0/30"], "reserveEdges": False})
    )

    excluded = Range(ip_address("10.80.1.0"), ip_address("10.80.1.3"))
    pool4 = Pool(IPV4, (ip_network(PREFIX4),), (excluded,), reserve_edges=False)
    assert {IPV4: pool4, IPV6: Pool(IPV6, (ip_network(PREFIX6),))} == found
    assert [IPV6] == list(compiled_network.pools(netconf(ipv4={})))


def test_configuration_is_compiled_once_for_all_pods() -> None:
    """What differs between pods is left out of the comparison, and every key that is read is part of it."""
    first = compiled_network.read(conf(runtimeConfig={"mac": str(MAC)}, prevResult={}))

    assert first is compiled_network.read(conf(args={"cni": {}}))
    assert first is not compiled_network.read(conf(MTU=1400))
    assert 1400 == compiled_network.read(conf(MTU=1400)).conf.mtu


def test_firewall_settings_collect_all_prefixes() -> None:
    """This and other clusters' prefixes are trusted; this cluster's and configured ones see pods' own addresses."""
    lists = {"trusted": ["2001:db8:a::/56"], "clusterPrefixes": ["10.80.0.0/16"], "nodePrefixes": ["198.51.100.0/24"]}
    ipv4 = {"prefixes": [PREFIX4], "noMasquerade": ["192.0.2.0/24"]}
    found = compiled_network.settings(netconf(ipv4=ipv4, firewall={**lists, "echo": "drop", "echoRate": 5}))

    trusted = tuple(map(ip_network, ("2001:db8:a::/56", "10.80.0.0/16", "198.51.100.0/24")))
    keep_source = (OTHER, ip_network("10.80.0.0/16"))
    cluster = (ip_network("10.80.0.0/16"),)
    assert Settings(True, trusted, "drop", 5, (IPV4,), keep_source, cluster=cluster) == found  # noqa: FBT003


def test_opened_metadata_services_are_handed_on() -> None:
    """None is opened by default; the list may come by way of node.json, which the agent writes."""
    opened = netconf(firewall={"metadata": ["169.254.169.254"]})
    again = netconf(firewall=opened.firewall.given())

    assert () == compiled_network.settings(netconf()).metadata_open
    assert (ip_address("169.254.169.254"),) == compiled_network.settings(again).metadata_open


def test_ports_of_the_node_are_handed_on() -> None:
    """All are open by default; an empty list opens none, also by way of node.json."""
    closed, some = (netconf(firewall={"node": listed}) for listed in ([], ["tcp/22"]))
    again = [netconf(firewall=one.firewall.given()) for one in (netconf(firewall={"node": "open"}), closed, some)]

    assert compiled_network.settings(netconf()).node is None
    assert [None, (), (PortRange("tcp", 22, 22),)] == [compiled_network.settings(one).node for one in again]


def test_host_ports_are_open_unless_a_setting_says_otherwise() -> None:
    """Also by way of node.json."""
    found = [netconf(), *(netconf(firewall={"hostPorts": value}) for value in ("trusted", "none"))]
    again = [netconf(firewall=one.firewall.given()) for one in found]

    assert ["open", "trusted", "none"] == [compiled_network.settings(one).host_ports for one in again]


def test_the_links_of_host_ports_on_loopback_are_planned() -> None:
    """Without such a mapping the pod's link needs nothing of it."""
    assert () == _plan(netconf()).loopback
    assert (IPV4,) == _plan(netconf(), openings=OPENINGS).loopback


def test_service_ranges_matter_while_services_are_open() -> None:
    """The ranges are used only if Services are open to the Internet."""
    ranges = {"serviceCIDRs": ["10.96.0.0/16"]}
    assert (ip_network("10.96.0.0/16"),) == compiled_network.settings(netconf(firewall=ranges)).services
    assert () == compiled_network.settings(netconf(firewall={**ranges, "services": "trusted"})).services


@pytest.mark.parametrize(
    ("four", "six", "families"), [(True, False, (IPV4,)), (False, True, (IPV6,)), (True, True, (IPV4, IPV6))]
)
def test_each_family_has_its_own_masquerading(four: bool, six: bool, families: object) -> None:  # noqa: FBT001
    """IPv4 is masqueraded by default, IPv6 only if configured."""
    found = netconf(ipv4={"prefixes": [PREFIX4], "masquerade": four}, ipv6={"prefixes": [PREFIX6], "masquerade": six})

    assert families == compiled_network.settings(found).masquerade


def test_plan_names_both_ends() -> None:
    """All names follow from the key, addresses and MAC from the assignment."""
    wanted = attachment()
    plan = _plan(netconf())

    assert (wanted.host_ifname, wanted.key.host_mac, "eth0", MAC) == (
        plan.host_ifname,
        plan.host_mac,
        plan.ifname,
        plan.mac,
    )
    assert '{"v":1,"net":"net","id":"container1","ifname":"eth0"}' == plan.alias
    assert (wanted.assignment.addresses, SANDBOX) == (plan.addresses, plan.netns)


@pytest.mark.parametrize(("configured", "mtu"), [(0, 1450), (1400, 1400)])
def test_mtu_is_that_of_the_default_route_unless_configured(configured: int, mtu: int) -> None:
    """Zero means the MTU of the default route."""
    assert mtu == _plan(netconf(mtu=configured)).mtu


ROUTES: list[tuple[object, int, list[tuple[object, int | None]]]] = [
    ("auto", 0, [(EVERYTHING4, None), (EVERYTHING6, 100), (OTHER, None)]),
    (True, 0, [(EVERYTHING4, None), (EVERYTHING6, 100), (OTHER, None)]),
    (False, 0, [(OTHER, None)]),
    ("auto", 1, [(OTHER, 101)]),
    (True, 1, [(EVERYTHING4, 101), (EVERYTHING6, 101), (OTHER, 101)]),
    (True, 2, [(EVERYTHING4, 102), (EVERYTHING6, 102), (OTHER, 102)]),
    (False, 2, [(OTHER, 102)]),
]


@pytest.mark.parametrize(("default_route", "earlier", "routes"), ROUTES)
def test_only_the_first_interface_gets_default_routes(
    default_route: object, earlier: int, routes: list[tuple[object, int | None]]
) -> None:
    """Later ones get their own routes, with a metric of 100 plus the number of earlier ones."""
    plan = _plan(netconf(defaultRoute=default_route, routes=[{"dst": str(OTHER)}]), earlier=earlier)

    assert routes == [(route.dst, route.priority) for route in plan.routes]


def test_configured_route_keeps_its_metrics() -> None:
    """MTU, segment size and metric are kept, also on a later interface."""
    route = {"dst": str(OTHER), "mtu": 1400, "advmss": 1340, "priority": 7}

    assert (RouteSpec(OTHER, 1400, 1340, 7),) == _plan(netconf(routes=[route]), earlier=1).routes


def test_pod_without_a_family_gets_no_route_of_it() -> None:
    """It gets neither a default route nor a configured one, which would have no source address."""
    only6 = Assignment(None, IPv6Address("2001:db8:0:1:1::5"), MAC)

    assert [EVERYTHING6] == [r.dst for r in _plan(netconf(routes=[{"dst": str(OTHER)}]), assignment=only6).routes]
