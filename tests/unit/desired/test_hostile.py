"""Whatever kubelets write into their Nodes, the other nodes go on; the examples stopped or opened all of them."""

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import members
from profiles import examples
from slash80.agent import files
from slash80.cluster.objects.node import NodeSeen, read_node
from slash80.desired.alone import Bounds, Own
from slash80.desired.claims import Claims
from slash80.desired.node import Desired, desired
from slash80.desired.observed import Observed
from slash80.desired.prefixes import PrefixReport
from slash80.desired.problems import Reason
from slash80.desired.trust import Judge
from slash80.prefixes import annotation, spec
from slash80.settings import node as nodefile
from slash80.settings.cluster import ClusterSettings
from slash80.settings.clusterset import parse
from slash80.settings.network import Prefix
from unit.desired.hostile import LISTS

V4, V6 = "10.80.1.0/24", "2001:db8:a:b:1::/80"
PEER4, PEER6 = "10.80.2.0/24", "2001:db8:a:b:2::/80"
BOUNDED: dict[str, Any] = {
    "firewall": {"clusterPrefixes": ["10.80.0.0/16", "2001:db8:a:b::/64"]},
    "nodePrefixes": ["192.0.2.0/24", "2001:db8:1::/64"],
}
SETTINGS: list[dict[str, Any]] = [{}, BOUNDED, {"firewall": BOUNDED["firewall"]}, {"nodePrefixes": ["192.0.2.0/24"]}]


def _read(name: str, *cidrs: str, created: str = "2", addresses: tuple[str, ...] = (), published: str = "") -> NodeSeen:
    """Return a Node as it is read of what its kubelet wrote."""
    metadata = {"name": name, "creationTimestamp": created, "annotations": {"slash80.io/prefixes": published}}
    listed = [{"type": "InternalIP", "address": address} for address in addresses]
    return read_node({"metadata": metadata, "spec": {"podCIDRs": list(cidrs)}, "status": {"addresses": listed}})


_BOUNDS: tuple[Prefix, ...] = tuple(map(ip_network, ("10.80.0.0/16", "192.0.2.0/24", "2001:db8:a:b::/64")))
OWN = _read("own", V4, V6, created="1", addresses=("192.0.2.1", "2001:db8:1::1"))
PEER = _read("peer", PEER4, PEER6, created="3", addresses=("192.0.2.2", "2001:db8:1::2"))


def _desired(*hostile: NodeSeen, clusterset: str = "", **keys: Any) -> Desired:  # noqa: ANN401 -- any settings
    """Return what this node should be like beside an honest neighbour and hostile nodes."""
    reports = (PrefixReport("static"), annotation.report(OWN), spec.report(OWN))
    clustersets = (parse(clusterset),) if clusterset else ()
    observed = Observed(
        ClusterSettings.model_validate(keys), reports, OWN, (PEER, *hostile), (), clustersets=clustersets
    )
    found = desired(observed)
    assert found
    assert nodefile.parse(files.text(found.node_file))
    return found


def _trusted(found: Desired) -> tuple[list[str], list[str]]:
    firewall = found.node_file["firewall"]
    return firewall["clusterPrefixes"], firewall["nodePrefixes"]


HONEST = _desired()
ATTACKS: dict[str, tuple[NodeSeen, Reason]] = {
    "a zone in an address": (_read("h", addresses=("fe80::1%eth0",)), Reason.NODE_OBJECT_INVALID),
    "an address that cannot be read": (_read("h", addresses=("nonsense" * 10_000,)), Reason.NODE_OBJECT_INVALID),
    "an IPv4 /32 as podCIDR": (_read("h", "192.0.2.99/32"), Reason.PREFIX_UNUSABLE),
    "a link-local podCIDR": (_read("h", "fe80::/64"), Reason.PREFIX_UNUSABLE),
    "a podCIDR with a zone": (_read("h", "fe80::%eth0/64"), Reason.NODE_OBJECT_INVALID),
    "14,000 prefixes": (_read("h", published=json.dumps([PEER6] * 14_000)), Reason.NODE_OBJECT_INVALID),
    "a deep annotation": (_read("h", published="[" * 60_000), Reason.NODE_OBJECT_INVALID),
    "an address in a pod's prefix": (_read("h", created="0", addresses=("10.80.2.7",)), Reason.NODE_ADDRESS_UNUSABLE),
    "an address in our prefix": (_read("h", created="0", addresses=("10.80.1.7",)), Reason.NODE_ADDRESS_UNUSABLE),
    "a loopback address": (_read("h", created="0", addresses=("127.0.0.1",)), Reason.NODE_ADDRESS_UNUSABLE),
    "a podCIDR of the nodes' network": (_read("h", "192.0.2.0/25", created="9"), Reason.PREFIX_HOLDS_NODE_ADDRESS),
    "a podCIDR of a younger node": (_read("h", "10.80.2.0/25", created="9"), Reason.PREFIX_OVERLAPS_NODE),
    "our prefix": (_read("h", V6, created="9"), Reason.PREFIX_OVERLAPS_NODE),
}


@pytest.mark.parametrize(("hostile", "reason"), ATTACKS.values(), ids=ATTACKS.keys())
def test_what_is_wrong_with_a_node_costs_that_node_only(hostile: NodeSeen, reason: Reason) -> None:
    """The honest nodes stay trusted and routed, the hostile one is not, and a problem says why."""
    found = _desired(hostile)
    assert _trusted(HONEST) == _trusted(found)
    assert (HONEST.routes, HONEST.prefixes) == (found.routes, found.prefixes)
    assert [reason] == [problem.reason for problem in found.problems]
    assert "node h" in found.problems[0].message


def test_of_57000_addresses_64_are_read() -> None:
    """A node cannot make the files of all others large."""
    many = tuple(str(ip_address("198.18.0.0") + number) for number in range(57_000))
    found = _desired(_read("h", addresses=many))
    assert 64 + 4 == len(_trusted(found)[1])
    assert "status.addresses has 57000 entries, of which the first 64 are read" in found.problems[0].message


def test_with_node_prefixes_no_other_address_is_trusted() -> None:
    """A host on the Internet that is listed as a node's address gets nowhere, and does not become a gateway."""
    hostile = _read("h", "10.80.3.0/24", addresses=("8.8.8.8",))
    found = _desired(hostile, nodePrefixes=["192.0.2.0/24", "2001:db8:1::/64"])
    assert ["192.0.2.0/24", "2001:db8:1::/64"] == _trusted(found)[1]
    assert HONEST.routes == found.routes
    assert ("clusterPrefixes",) == found.believed


def test_with_cluster_prefixes_no_other_prefix_is_trusted() -> None:
    """A kubelet that registers with `spec.podCIDRs` of its own choice gets nothing outside."""
    found = _desired(_read("h", "8.8.8.0/24", created="0"), firewall=BOUNDED["firewall"])
    assert (sorted(BOUNDED["firewall"]["clusterPrefixes"]), HONEST.routes) == (_trusted(found)[0], found.routes)
    assert [Reason.PREFIX_OUTSIDE_CLUSTER] == [problem.reason for problem in found.problems]


def test_without_bounds_every_kubelet_is_believed() -> None:
    """What a Node says then is trusted, and that it is so is told."""
    found = _desired(_read("h", "8.8.8.0/24", addresses=("9.9.9.9",)))
    assert "8.8.8.0/24" in _trusted(found)[0]
    assert "9.9.9.9/32" in _trusted(found)[1]
    assert ("clusterPrefixes", "nodePrefixes") == found.believed
    assert () == _desired(**BOUNDED).believed


def test_the_spec_beats_an_older_nodes_annotation() -> None:
    """Of others, and of this node: an annotation can be written at any time, a spec only once."""
    hostile = _read("h", created="0", published=json.dumps([PEER6, V6, "2001:db8:a:b::/72"]))
    found = _desired(hostile, **BOUNDED)
    assert (HONEST.routes, HONEST.prefixes) == (found.routes, found.prefixes)
    assert 3 == len(found.problems)


def test_a_prefix_around_the_prefixes_of_two_nodes_is_not_believed() -> None:
    """However old its node is: one kubelet speaks for one node."""
    third = _read("third", "10.80.3.0/24", created="4")
    found = _desired(third, _read("h", "10.80.0.0/16", created="0"))
    assert _trusted(_desired(third)) == _trusted(found)
    assert "it holds prefixes of several other nodes" in found.problems[0].message


def test_problems_of_one_node_are_bounded() -> None:
    """A kubelet that changes its Node again and again cannot fill the logs of all others."""
    addresses = tuple(f"127.0.0.{number}" for number in range(64))
    assert 9 == len(_desired(_read("h", addresses=addresses)).problems)


def test_when_there_is_no_room_for_all_each_node_has_its_share() -> None:
    """Many hostile nodes cannot push an honest one out of the file, and the file stays readable."""
    many = [
        _read(f"h{number}", created="0", addresses=tuple(f"10.{number >> 8}.{number & 255}.{n}" for n in range(1, 65)))
        for number in range(300)
    ]
    found = _desired(*many)
    assert len(files.text(found.node_file)) < nodefile._BYTES
    assert set(_trusted(HONEST)[1]) <= set(_trusted(found)[1])
    assert "no room" in found.problems[-1].message


def test_members_of_the_clusterset_have_their_room_before_nodes() -> None:
    """However many hostile nodes there are all members are trusted, and the file stays readable."""
    entries = [
        members.entry(0, prefixes=["2001:db8:a:b::/64"]),
        *(members.entry(one, prefixes=[f"2001:db8:{one:x}f:{n:x}f::/80" for n in range(256)]) for one in range(1, 32)),
    ]
    many = [
        _read(
            f"h{number}",
            created="0",
            addresses=tuple(f"2001:db8:f{number:03x}:ffff:ffff:ffff:ffff:ff{n:02x}" for n in range(64)),
        )
        for number in range(300)
    ]
    found = _desired(*many, clusterset=members.text(*entries))
    assert 31 * 256 == len(found.node_file["firewall"]["trusted"])
    assert len(files.text(found.node_file)) < nodefile._BYTES
    assert "no room" in found.problems[-1].message


@settings(max_examples=examples(200))
@given(documents=LISTS, keys=st.sampled_from(SETTINGS))
def test_no_list_of_nodes_makes_a_file_that_cannot_be_read(
    documents: list[dict[str, Any]], keys: dict[str, Any]
) -> None:
    """What is trusted lies within the bounds that are set, the own prefixes stay, and nothing is raised."""
    found = _desired(*map(read_node, documents), **keys)
    prefixes, addresses = ([ip_network(one) for one in texts] for texts in _trusted(found))
    if "firewall" in keys:
        assert sorted(BOUNDED["firewall"]["clusterPrefixes"]) == [*map(str, prefixes)]
        assert all(
            any(
                str(one.supernet(new_prefix=whole.prefixlen)) == str(whole)
                for whole in prefixes
                if whole.version == one.version
            )
            for one in found.others
        )
    if "nodePrefixes" in keys:
        assert all(any(route.gateway in one for one in addresses) for route in found.routes)
    for one in found.others:
        assert not any(one.overlaps(other) for other in found.others if other is not one)
        assert not any(one.overlaps(ip_network(own)) for own in found.prefixes)
        assert not any(address in one for address in OWN.addresses)
    assert all(len(problem.message) < 2000 for problem in found.problems)


@settings(max_examples=examples(40))
@given(steps=st.lists(LISTS, max_size=5), cluster=st.booleans())
def test_a_judge_that_remembers_decides_as_one_that_does_not(steps: list[list[dict[str, Any]]], cluster: bool) -> None:  # noqa: FBT001 -- hypothesis
    """Whatever came and went before, and in whatever order, the verdict depends on what is there now."""
    bounds = Bounds(_BOUNDS if cluster else (), own=Own(OWN.seniority, OWN.addresses, ((ip_network(V4), True),)))
    judge = Judge()
    for documents in steps:
        nodes = [PEER, *map(read_node, documents)]
        assert Judge().judge(nodes[::-1], bounds) == judge.judge(nodes, bounds)


def test_one_change_looks_at_what_it_touches_only() -> None:
    """Of many nodes one that changes costs what it claims: the others are neither examined nor judged again."""
    nodes = [_read(f"n{number}", f"10.{number >> 8}.{number & 255}.0/24") for number in range(1000)]
    judge, bounds = Judge(), Bounds()
    judge.judge(nodes, bounds)
    touched: list[str] = []
    conclude = judge._conclude
    judge._conclude = lambda name: (touched.append(name), conclude(name))[1]  # type: ignore[method-assign, func-returns-value]
    changed = _read("n7", "10.0.9.0/24")
    judge.judge([*nodes[:7], changed, *nodes[8:]], bounds)

    assert {"n7", "n9"} == set(touched)


def test_what_is_wrong_with_the_own_node_is_a_problem_as_well() -> None:
    """An override that is too long is not silently replaced by the next source."""
    own = read_node({"metadata": {"name": "own", "annotations": {"slash80.io/prefix-override": "[" * 70_000}}})
    found = desired(Observed(ClusterSettings(), (PrefixReport("static", (ip_network(V6),)),), own, (), ()))
    assert found
    assert [(Reason.NODE_OBJECT_INVALID, "own")] == [(one.reason, one.subject) for one in found.problems]


def test_many_faults_of_a_node_are_one_sentence() -> None:
    """It names the first part that could not be read, and how many others there are."""
    (problem,) = _desired(_read("h", "x", "y", addresses=("fe80::1%eth0",))).problems
    assert "spec.podCIDRs cannot be used: 'x' is not a prefix" in problem.message
    assert "and 2 more of its parts" in problem.message


def test_a_judge_that_a_mistake_ended_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it remembers may not fit together then, and must not be wrong until the agent is started again."""
    nodes, bounds = [PEER, _read("h", "10.80.2.0/25", created="9")], Bounds()
    judge = Judge()
    judge.judge([PEER], bounds)
    with monkeypatch.context() as broken:
        broken.delattr(Claims, "enter")
        with pytest.raises(AttributeError):
            judge.judge(nodes, bounds)
    assert Judge().judge(nodes, bounds) == judge.judge(nodes, bounds)
