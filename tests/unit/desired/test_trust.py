"""Whose prefixes are accepted: no node can take those of another, nor such as belong to no node."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.family import Prefix
from slash80.cluster.objects.node import NodeSeen
from slash80.desired.alone import Bounds
from slash80.desired.problems import Reason
from slash80.desired.trust import Accepted, Judge

PREFIX = ip_network("2001:db8:a:b:1::/80")


def accepted_prefixes(nodes: list[NodeSeen], bounds: Bounds) -> Accepted:
    """Judge all nodes at once."""
    return Judge().judge(nodes, bounds)


def _node(name: str, *cidrs: str, created: str = "1", **more: object) -> NodeSeen:
    return NodeSeen(name, created, tuple(map(ip_network, cidrs)), **more)  # type: ignore[arg-type]


def test_a_prefix_from_the_controller_manager_is_accepted() -> None:
    """Each node has its own prefixes of both families."""
    found = accepted_prefixes([_node("a", str(PREFIX), "10.80.1.0/24"), _node("b", "2001:db8:a:b:2::/80")], Bounds())

    assert {"a": (PREFIX, ip_network("10.80.1.0/24")), "b": (ip_network("2001:db8:a:b:2::/80"),)} == found.prefixes
    assert [] == found.rejected


@pytest.mark.parametrize(
    ("cidr", "reason", "why"),
    [
        ("2001:db8::/63", Reason.PREFIX_TOO_SHORT, "is shorter than /64"),
        ("10.0.0.0/15", Reason.PREFIX_TOO_SHORT, "is shorter than /16"),
        ("2001:db8:f::/80", Reason.PREFIX_OUTSIDE_CLUSTER, "lies outside clusterPrefixes"),
        ("2001:db8:a:b:1:8000::/81", Reason.PREFIX_OVERLAPS_NODE, "overlaps a prefix of node old"),
        ("2001:db8:a:c::/112", Reason.PREFIX_OVERLAPS_SERVICES, "overlaps the Services' 2001:db8:a:c::/108"),
        ("2001:db8:a:d::/64", Reason.PREFIX_HOLDS_NODE_ADDRESS, "holds the address 2001:db8:a:d::5 of node old"),
    ],
)
def test_a_prefix_that_cannot_be_the_nodes_own_is_ignored(cidr: str, reason: Reason, why: str) -> None:
    """The problem has a code of its own for each reason, and its sentence names prefix, node and reason."""
    bounds = Bounds(tuple(map(ip_network, ("2001:db8:a::/48", "10.0.0.0/8"))), (ip_network("2001:db8:a:c::/108"),))
    old = _node("old", str(PREFIX), addresses=(ip_address("2001:db8:a:d::5"),))
    found = accepted_prefixes([_node("new", cidr, created="2"), old], bounds)

    assert {"old": (PREFIX,), "new": ()} == found.prefixes
    assert [(reason, cidr, f"prefix {cidr} of node new is ignored: it {why}")] == [
        (problem.reason, problem.subject, problem.message) for problem in found.rejected
    ]


def test_node_may_have_its_address_in_its_prefix() -> None:
    """A node's own address may lie in its prefix, as on GCP."""
    assert (PREFIX,) == accepted_prefixes([_node("a", str(PREFIX), addresses=(PREFIX[5],))], Bounds()).prefixes["a"]


def test_an_annotation_counts_inside_the_clusters_prefixes_only() -> None:
    """A kubelet may write its Node, so without `clusterPrefixes` it could draw any traffic to its node."""
    node = _node("a", announced=(PREFIX, ip_network("2001:db8:f::/80")))
    assert {"a": ()} == accepted_prefixes([node], Bounds()).prefixes
    found = accepted_prefixes([node], Bounds((ip_network("2001:db8:a::/48"),)))
    assert {"a": (PREFIX,)} == found.prefixes
    assert 1 == len(found.rejected)


_CIDRS = st.builds(
    lambda number, length: ip_network((0x20010DB8 << 96 | number << 60, length), strict=False),
    st.integers(0, 15),
    st.sampled_from([64, 65, 66, 68, 80]),
)


@given(st.lists(st.tuples(st.sampled_from("123"), st.lists(_CIDRS, max_size=3)), max_size=5))
def test_no_address_is_ever_accepted_for_two_nodes(nodes: list[tuple[str, list[Prefix]]]) -> None:
    """Whatever the nodes claim, and in whatever order they are listed, no two accepted prefixes overlap."""
    seen = [NodeSeen(f"n{i}", created, tuple(cidrs)) for i, (created, cidrs) in enumerate(nodes)]
    found = accepted_prefixes(seen, Bounds())
    kept = [(name, prefix) for name, prefixes in found.prefixes.items() for prefix in prefixes]
    for name, prefix in kept:
        assert not any(prefix.overlaps(other) for owner, other in kept if owner != name)
    assert found.prefixes == accepted_prefixes(seen[::-1], Bounds()).prefixes
