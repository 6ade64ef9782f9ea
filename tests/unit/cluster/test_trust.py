"""Whose prefixes are believed: no node can take another's, nor what is nobody's."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.family import Prefix
from slash80.cluster.objects import NodeSeen
from slash80.cluster.trust import Bounds, believe

PREFIX = ip_network("2001:db8:a:b:1::/80")


def _node(name: str, *cidrs: str, created: str = "1", **more: object) -> NodeSeen:
    return NodeSeen(name, created, tuple(map(ip_network, cidrs)), **more)  # type: ignore[arg-type]


def test_what_the_controller_manager_gave_is_believed() -> None:
    """Each node has its own prefixes of both families."""
    found = believe([_node("a", str(PREFIX), "10.80.1.0/24"), _node("b", "2001:db8:a:b:2::/80")], Bounds())

    assert {"a": (PREFIX, ip_network("10.80.1.0/24")), "b": (ip_network("2001:db8:a:b:2::/80"),)} == found.prefixes
    assert [] == found.rejected


@pytest.mark.parametrize(
    ("cidr", "why"),
    [
        ("2001:db8::/63", "is shorter than /64"),
        ("10.0.0.0/15", "is shorter than /16"),
        ("2001:db8:f::/80", "lies outside clusterPrefixes"),
        ("2001:db8:a:b:1:8000::/81", "overlaps a prefix of node old"),
        ("2001:db8:a:c::/112", "overlaps the Services' 2001:db8:a:c::/108"),
        ("2001:db8:a:d::/64", "holds the address 2001:db8:a:d::5 of node old"),
    ],
)
def test_what_is_not_a_nodes_own_is_ignored(cidr: str, why: str) -> None:
    """The sentence names the prefix, the node and the reason."""
    bounds = Bounds(tuple(map(ip_network, ("2001:db8:a::/48", "10.0.0.0/8"))), (ip_network("2001:db8:a:c::/108"),))
    old = _node("old", str(PREFIX), addresses=(ip_address("2001:db8:a:d::5"),))
    found = believe([_node("new", cidr, created="2"), old], bounds)

    assert {"old": (PREFIX,), "new": ()} == found.prefixes
    assert [f"prefix {cidr} of node new is ignored: it {why}"] == found.rejected


def test_a_node_may_hold_its_own_address_in_its_prefix() -> None:
    """On GCP it does."""
    assert (PREFIX,) == believe([_node("a", str(PREFIX), addresses=(PREFIX[5],))], Bounds()).prefixes["a"]


def test_what_a_node_says_of_itself_counts_inside_the_clusters_prefixes_only() -> None:
    """A kubelet may write its Node, so without them it could draw anybody's traffic to itself."""
    node = _node("a", published=f'["{PREFIX}", "2001:db8:f::/80"]')
    assert {"a": ()} == believe([node], Bounds()).prefixes
    found = believe([node], Bounds((ip_network("2001:db8:a::/48"),)))
    assert {"a": (PREFIX,)} == found.prefixes
    assert 1 == len(found.rejected)


@pytest.mark.parametrize("text", ["nonsense", '"2001:db8::/80"', '["2001:db8::5/80"]', "[5]", "{}", "[" * 100_000])
def test_an_annotation_that_cannot_be_read_is_told(text: str) -> None:
    """And changes nothing else."""
    found = believe([_node("a", str(PREFIX), published=text)], Bounds((ip_network("2001:db8:a::/48"),)))
    assert (PREFIX,) == found.prefixes["a"]
    assert "the annotation of node a is ignored" in found.rejected[0]


_CIDRS = st.builds(
    lambda number, length: ip_network((0x20010DB8 << 96 | number << 60, length), strict=False),
    st.integers(0, 15),
    st.sampled_from([64, 65, 66, 68, 80]),
)


@given(st.lists(st.tuples(st.sampled_from("123"), st.lists(_CIDRS, max_size=3)), max_size=5))
def test_no_two_nodes_are_ever_believed_with_one_address(nodes: list[tuple[str, list[Prefix]]]) -> None:
    """Whatever they claim, in whatever order they come."""
    seen = [NodeSeen(f"n{i}", created, tuple(cidrs)) for i, (created, cidrs) in enumerate(nodes)]
    found = believe(seen, Bounds())
    kept = [(name, prefix) for name, prefixes in found.prefixes.items() for prefix in prefixes]
    for name, prefix in kept:
        assert not any(prefix.overlaps(other) for owner, other in kept if owner != name)
    assert found.prefixes == believe(seen[::-1], Bounds()).prefixes
