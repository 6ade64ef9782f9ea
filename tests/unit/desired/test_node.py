"""What a node should be like, from all that is known of it and its cluster."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from slash80.cluster.objects.node import NodeSeen
from slash80.desired.node import Desired, desired
from slash80.desired.observed import Observed
from slash80.desired.prefixes import PrefixReport
from slash80.desired.problems import Problem, Reason
from slash80.prefixes import annotation, spec
from slash80.settings import node as nodefile
from slash80.settings.cluster import ClusterSettings
from slash80.wiring.plan import NodeRoute

V6, V4, OLD = "2001:db8:a:b:1::/80", "10.80.1.0/24", "2001:db8:a:b:9::/80"
OTHER6, OTHER4 = "2001:db8:a:b:2::/80", "10.80.2.0/24"
CLUSTER_IPS = "10.96.0.0/16"


def _node(name: str, *cidrs: str, addresses: tuple[str, ...] = (), **more: Any) -> NodeSeen:  # noqa: ANN401 -- any field
    created = str(more.pop("created", "1"))
    return NodeSeen(name, created, tuple(map(ip_network, cidrs)), tuple(map(ip_address, addresses)), **more)


OWN = _node("a", V4, V6, addresses=("192.0.2.1", "2001:db8:1::1"))
PEER = _node("b", OTHER4, OTHER6, addresses=("192.0.2.2", "2001:db8:1::2"))


def _observed(own: NodeSeen | None = OWN, static: tuple[str, ...] = (), **changes: Any) -> Observed:  # noqa: ANN401 -- any field
    reports = (
        PrefixReport("static", tuple(map(ip_network, static))),
        annotation.report(own),
        spec.report(own),
    )
    return replace(Observed(ClusterSettings(), reports, own, (PEER,), ()), **changes)


def _desired(own: NodeSeen | None = OWN, **changes: Any) -> Desired:  # noqa: ANN401 -- any field
    found = desired(_observed(own, **changes))
    assert found
    return found


def _settings(**keys: Any) -> ClusterSettings:  # noqa: ANN401 -- any key
    return ClusterSettings.model_validate(keys)


def _before(**keys: Any) -> nodefile.NodeFile:  # noqa: ANN401 -- any key
    return nodefile.NodeFile.model_validate({"version": 1, **keys})


def test_without_settings_a_node_follows_the_api() -> None:
    """Prefixes are those of the controller manager; trusted are the other nodes' prefixes, and all nodes."""
    found = _desired(services=(ip_network(CLUSTER_IPS),))

    assert {
        "version": 1,
        "ipv4": [{"prefix": V4, "state": "active"}],
        "ipv6": [{"prefix": V6, "state": "active"}],
        "primaryFamily": "ipv4",
        "mtu": 0,
        "firewall": {
            "clusterPrefixes": [OTHER4, OTHER6],
            "nodePrefixes": ["192.0.2.1/32", "192.0.2.2/32", "2001:db8:1::1/128", "2001:db8:1::2/128"],
            "serviceCIDRs": [CLUSTER_IPS],
        },
        "options": {"ipv6": {}, "ipv4": {}},
    } == found.node_file
    assert {V4: "spec", V6: "spec"} == found.sources
    assert ((V6, V4), ()) == (found.prefixes, found.draining)
    assert () == found.problems
    assert nodefile.NodeFile.model_validate(found.node_file)


def test_node_routes_use_the_address_of_their_family() -> None:
    """A node without an address of a family gets no route of it; with `nodeRoutes: none` no node gets one."""
    expected = (
        NodeRoute(ip_network(OTHER4), ip_address("192.0.2.2")),
        NodeRoute(ip_network(OTHER6), ip_address("2001:db8:1::2")),
    )
    assert expected == _desired().routes
    only4 = _node("b", OTHER4, OTHER6, addresses=("192.0.2.2",))
    assert expected[:1] == _desired(others=(only4,)).routes
    assert () == _desired(settings=_settings(nodeRoutes="none")).routes


def test_what_the_settings_say_is_not_taken_from_the_api() -> None:
    """The settings' prefixes of cluster, nodes and Services win, and every key of the families is handed on."""
    keys = {"clusterPrefixes": ["10.80.0.0/16", "2001:db8:a:b::/64"], "serviceCIDRs": ["10.97.0.0/16"], "echo": "drop"}
    settings = _settings(firewall=keys, nodePrefixes=["192.0.2.0/24"], mtu=1400, ipv4={"cooldown": 60})
    found = _desired(settings=settings, services=(ip_network(CLUSTER_IPS),)).node_file

    assert keys | {"nodePrefixes": ["192.0.2.0/24"]} == found["firewall"]
    assert (1400, {"ipv6": {}, "ipv4": {"cooldown": 60.0}}) == (found["mtu"], found["options"])


def test_service_ranges_in_force_stay_until_the_api_has_listed_all() -> None:
    """An agent that starts before the list is complete closes no NodePort; a complete list that is empty counts."""
    before = _before(ipv6=[{"prefix": V6}], firewall={"serviceCIDRs": [CLUSTER_IPS]})

    assert [CLUSTER_IPS] == _desired(services=None, before=before).node_file["firewall"]["serviceCIDRs"]
    assert [] == _desired(services=(), before=before).node_file["firewall"]["serviceCIDRs"]
    assert [] == _desired(services=None).node_file["firewall"]["serviceCIDRs"]


def test_a_prefix_inside_the_service_ranges_in_force_is_not_accepted() -> None:
    """The ranges that are in force bound what other nodes may claim, too."""
    before = _before(ipv6=[{"prefix": V6}], firewall={"serviceCIDRs": [OTHER4]})

    assert [Reason.PREFIX_OVERLAPS_SERVICES] == [
        problem.reason for problem in _desired(services=None, before=before).problems
    ]


def test_primary_family_is_that_of_the_cluster() -> None:
    """It follows the order of the prefixes, else of the addresses; with one family only, it is that one."""
    assert "ipv6" == _desired(_node("a", V6, V4)).node_file["primaryFamily"]
    annotated = _node("a", addresses=("2001:db8:1::1", "192.0.2.1"), override=f'["{V4}", "{V6}"]')
    assert "ipv6" == _desired(annotated).node_file["primaryFamily"]
    assert "ipv6" == _desired(_node("a", V6, addresses=("192.0.2.1",))).node_file["primaryFamily"]


def test_while_the_node_is_not_known_everything_stays() -> None:
    """The API may be away, or the Node deleted: the pods are here all the same."""
    assert desired(_observed(None, others=(), before=_before(ipv6=[{"prefix": V6}]), static=(OLD,))) is None
    assert desired(_observed(None, others=())) is None


def test_static_prefix_does_not_wait_for_the_api() -> None:
    """A node that boots while the API is unreachable attaches pods from its static prefixes."""
    assert {V6: "static"} == _desired(None, others=(), static=(V6,)).sources


def test_removed_prefix_drains_while_pods_use_it() -> None:
    """No new address of a removed prefix is handed out; without pods it is gone at once."""
    before = _before(ipv6=[{"prefix": OLD}, {"prefix": V6}])
    pods = (ip_address("2001:db8:a:b:9::5"),)

    draining = [{"prefix": V6, "state": "active"}, {"prefix": OLD, "state": "draining"}]
    found = _desired(before=before, in_use=pods)
    assert draining == found.node_file["ipv6"]
    assert ((V6, OLD, V4), (OLD,)) == (found.prefixes, found.draining)
    assert draining[:1] == _desired(before=before).node_file["ipv6"]


def test_older_node_keeps_a_prefix_claimed_twice() -> None:
    """The younger node hands out nothing of the prefix and reports it; the older one keeps it."""
    found = _desired(others=(_node("b", V6, created="0"),))
    assert [] == found.node_file["ipv6"]
    message = f"prefix {V6} from source spec is not used: node b has it; give one away"
    assert (Problem(Reason.PREFIX_OF_OTHER_NODE, V6, message),) == found.problems
    found = _desired(others=(_node("b", V6, created="2"),))
    assert [{"prefix": V6, "state": "active"}] == found.node_file["ipv6"]


def test_a_node_without_a_prefix_names_the_sources_that_were_asked() -> None:
    """The problem is one sentence with the next step."""
    (problem,) = _desired(_node("a")).problems
    assert (Reason.NO_PREFIX, "a") == (problem.reason, problem.subject)
    assert "no source of static, annotation, spec has a prefix for this node" == problem.message.partition(";")[0]
