"""What a node is to do, from all that is known."""

from ipaddress import ip_address, ip_network
from typing import Any

from slash80.agent.decide import Decision, Situation, decide
from slash80.cluster.objects import NodeSeen
from slash80.prefixes.static import Static
from slash80.settings import node as nodefile
from slash80.settings.cluster import ClusterSettings
from slash80.wiring.node_routes import NodeRoute

V6, V4, OLD = "2001:db8:a:b:1::/80", "10.80.1.0/24", "2001:db8:a:b:9::/80"
OTHER6, OTHER4 = "2001:db8:a:b:2::/80", "10.80.2.0/24"


def _node(name: str, *cidrs: str, addresses: tuple[str, ...] = (), **more: Any) -> NodeSeen:  # noqa: ANN401 -- any field
    created = str(more.pop("created", "1"))
    return NodeSeen(name, created, tuple(map(ip_network, cidrs)), tuple(map(ip_address, addresses)), **more)


OWN = _node("a", V4, V6, addresses=("192.0.2.1", "2001:db8:1::1"))
PEER = _node("b", OTHER4, OTHER6, addresses=("192.0.2.2", "2001:db8:1::2"))


def _situation(**changes: Any) -> Situation:  # noqa: ANN401 -- any field
    found: dict[str, Any] = {"settings": ClusterSettings(), "static": Static(), "own": OWN, "others": (PEER,)}
    return Situation(**found | changes)


def _decided(**changes: Any) -> Decision:  # noqa: ANN401 -- any field
    found = decide(_situation(**changes))
    assert found
    return found


def _settings(**keys: Any) -> ClusterSettings:  # noqa: ANN401 -- any key
    return ClusterSettings.model_validate(keys)


def test_a_node_of_a_cluster_that_says_nothing_more() -> None:
    """Prefixes are those of the controller manager; trusted are the other nodes' prefixes, and the nodes."""
    found = _decided(services=(ip_network("10.96.0.0/16"),))

    assert {
        "version": 1,
        "ipv4": [{"prefix": V4, "state": "active"}],
        "ipv6": [{"prefix": V6, "state": "active"}],
        "primaryFamily": "ipv4",
        "mtu": 0,
        "firewall": {
            "clusterPrefixes": [OTHER4, OTHER6],
            "nodePrefixes": ["192.0.2.1/32", "192.0.2.2/32", "2001:db8:1::1/128", "2001:db8:1::2/128"],
            "serviceCIDRs": ["10.96.0.0/16"],
        },
        "options": {"ipv6": {}, "ipv4": {}},
    } == found.node_file
    assert {V4: "spec", V6: "spec"} == found.sources
    assert () == found.problems
    assert nodefile.NodeFile.model_validate(found.node_file)


def test_routes_lead_to_the_other_nodes_by_their_address_of_the_family() -> None:
    """A node without one gets no route of that family; with `nodeRoutes: none` nobody does."""
    expected = (
        NodeRoute(ip_network(OTHER4), ip_address("192.0.2.2")),
        NodeRoute(ip_network(OTHER6), ip_address("2001:db8:1::2")),
    )
    assert expected == _decided().routes
    only4 = _node("b", OTHER4, OTHER6, addresses=("192.0.2.2",))
    assert expected[:1] == _decided(others=(only4,)).routes
    assert () == _decided(settings=_settings(nodeRoutes="none")).routes


def test_what_the_settings_say_is_not_worked_out() -> None:
    """Prefixes of cluster, nodes and Services, and every key of the families."""
    keys = {"clusterPrefixes": ["10.80.0.0/16", "2001:db8:a:b::/64"], "serviceCIDRs": ["10.97.0.0/16"], "echo": "drop"}
    settings = _settings(firewall=keys, nodePrefixes=["192.0.2.0/24"], mtu=1400, ipv4={"cooldown": 60})
    found = _decided(settings=settings, services=(ip_network("10.96.0.0/16"),)).node_file

    assert keys | {"nodePrefixes": ["192.0.2.0/24"]} == found["firewall"]
    assert (1400, {"ipv6": {}, "ipv4": {"cooldown": 60.0}}) == (found["mtu"], found["options"])


def test_the_primary_family_is_the_clusters() -> None:
    """By the order of the prefixes, else of the addresses; with one family only, that."""
    assert "ipv6" == _decided(own=_node("a", V6, V4)).node_file["primaryFamily"]
    annotated = _node("a", addresses=("2001:db8:1::1", "192.0.2.1"), override=f'["{V4}", "{V6}"]')
    assert "ipv6" == _decided(own=annotated).node_file["primaryFamily"]
    assert "ipv6" == _decided(own=_node("a", V6, addresses=("192.0.2.1",))).node_file["primaryFamily"]


def test_as_long_as_the_node_is_not_known_everything_stays() -> None:
    """The API may be away, or the Node deleted: pods are here all the same."""
    before = nodefile.NodeFile.model_validate({"version": 1, "ipv6": [{"prefix": V6}]})
    assert decide(_situation(own=None, others=(), before=before)) is None
    assert decide(_situation(own=None, others=())) is None


def test_a_static_prefix_does_not_wait_for_the_api() -> None:
    """A node that boots while the API is away attaches its static pods."""
    assert {V6: "static"} == _decided(own=None, others=(), static=Static((V6,))).sources


def test_a_prefix_that_was_taken_away_drains_as_long_as_pods_have_it() -> None:
    """No further address of it is handed out; without pods it is gone at once."""
    before = nodefile.NodeFile.model_validate({"version": 1, "ipv6": [{"prefix": OLD}, {"prefix": V6}]})
    pods = (ip_address("2001:db8:a:b:9::5"),)

    draining = [{"prefix": V6, "state": "active"}, {"prefix": OLD, "state": "draining"}]
    assert draining == _decided(before=before, in_use=pods).node_file["ipv6"]
    assert draining[:1] == _decided(before=before).node_file["ipv6"]


def test_of_two_nodes_with_one_prefix_the_older_has_it() -> None:
    """The younger hands out nothing of it and says so; the older goes on."""
    other = _node("b", V6, created="0")
    found = _decided(others=(other,))
    assert [] == found.node_file["ipv6"]
    assert f"prefix {V6} from source spec is not used: node b has it; give one away" in found.problems
    found = _decided(others=(_node("b", V6, created="2"),))
    assert [{"prefix": V6, "state": "active"}] == found.node_file["ipv6"]


def test_a_node_without_a_prefix_says_what_to_do() -> None:
    """One sentence with the sources that were asked."""
    found = _decided(own=_node("a"))
    assert ["no source of static, annotation, spec has a prefix for this node"] == [
        problem.partition(";")[0] for problem in found.problems
    ]
