"""Which members of the clusterset are trusted, from the file and from what this cluster and this node have."""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import members
from profiles import examples
from slash80.addressing.family import Prefix
from slash80.desired.members import Decision, Ours, decide
from slash80.desired.problems import Reason
from slash80.settings.clusterset import Clusterset, parse


def _prefixes(*texts: str) -> tuple[Prefix, ...]:
    return tuple(map(ip_network, texts))


OURS = Ours(_prefixes("2001:db8:0:1:1::/80", "10.80.0.0/16"), _prefixes("fd00:10:96::/112", "10.96.0.0/16"))
HERE = {"prefixes": ["2001:db8::/48"]}


def _clusterset(*changes: dict[str, Any]) -> Clusterset:
    """Return a clusterset of which the first member is this cluster, with its other members changed."""
    return parse(members.text(members.entry(0, **HERE), *(members.entry(n, **one) for n, one in enumerate(changes, 1))))


def _decided(*changes: dict[str, Any], ours: Ours = OURS) -> Decision:
    return decide([_clusterset(*changes)], ours)


def test_all_members_but_this_cluster_are_trusted() -> None:
    """The one with this cluster's prefixes is left out, so nothing of its own becomes trusted from outside."""
    found = _decided({}, {"prefixes": ["2001:db8:2::/56", "10.82.0.0/16"]})

    assert ("shop", "c0", ["c1", "c2"]) == (found.trust.name, found.trust.here, [one.id for one in found.trust.members])
    assert _prefixes("2001:db8:1::/48", "2001:db8:2::/56", "10.82.0.0/16") == found.trust.prefixes
    assert () == found.problems


@pytest.mark.parametrize("pods", ["2001:db8:0:1:1::/80", "2001:db8::/32", "10.80.1.0/24"])
def test_this_cluster_is_known_by_its_pods_prefixes(pods: str) -> None:
    """Whether its entry holds a node's prefix, or lies in clusterPrefixes, and by either family."""
    entry = members.entry(0, prefixes=["2001:db8:0:1::/64", "10.80.0.0/16"])
    one = parse(members.text(entry, members.entry(1, prefixes=["2001:dba::/48"])))

    assert "c0" == decide([one], Ours(_prefixes(pods))).trust.here


def test_a_cluster_that_is_not_listed_trusts_nobody() -> None:
    """Its file is another cluster's, or it was struck from it: the problem names the prefixes that no entry has."""
    found = _decided({}, ours=Ours(_prefixes("2001:db8:77:1::/64")))

    assert () == found.trust.prefixes
    (problem,) = found.problems
    assert Reason.CLUSTER_NOT_LISTED == problem.reason
    assert "2001:db8:77:1::/64" in problem.message


UNFIT: dict[str, tuple[dict[str, Any], Sequence[str]]] = {
    "in the Services": ({"prefixes": ["10.96.128.0/17"]}, ["'c1'", "10.96.128.0/17", "Services"]),
    "around the Services": ({"prefixes": ["fd00:10::/32", "2001:db8:1::/48"]}, ["'c1'", "fd00:10::/32"]),
    "of this cluster's pods": ({"prefixes": ["10.80.4.0/24"]}, ["'c0'", "'c1'", "10.80.4.0/24"]),
    "around this cluster's pods": ({"prefixes": ["2001:db8:1::/48", "10.0.0.0/8"]}, ["10.0.0.0/8"]),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_file_that_contradicts_the_cluster_is_refused_whole(case: str) -> None:
    """The last good one stays in force then; without one no member is trusted. The sentence names the entries."""
    changes, words = UNFIT[case]
    ours = Ours(OURS.pods, () if "10.0.0.0/8" in words else OURS.services)
    bad, good = _clusterset(changes), _clusterset({})
    found, alone = decide([bad, good], ours), decide([bad], ours)

    assert good is found.clusterset
    assert _prefixes("2001:db8:1::/48") == found.trust.prefixes
    assert (None, ()) == (alone.clusterset, alone.trust.prefixes)
    for (problem,), stays in ((found.problems, "last good file"), (alone.problems, "no member is trusted")):
        assert Reason.CLUSTERSET_INVALID == problem.reason
        assert all(word in problem.message for word in (*words, stays))


@pytest.mark.parametrize(("prefix", "link"), [("2001:db8:1::/48", "2001:db8:1:5::/64"), ("10.0.0.0/8", "10.9.0.0/24")])
def test_a_member_with_a_subnet_of_this_node_is_refused_alone(prefix: str, link: str) -> None:
    """With it the routers and machines of the node's own link would be trusted; the other members are."""
    found = _decided({"prefixes": [prefix]}, {}, ours=Ours(_prefixes("2001:db8:0:1:1::/80"), links=_prefixes(link)))

    assert _prefixes("2001:db8:2::/48") == found.trust.prefixes
    (problem,) = found.problems
    assert (Reason.MEMBER_REFUSED, "c1") == (problem.reason, problem.subject)
    assert prefix in problem.message
    assert link in problem.message


def test_a_member_within_a_subnet_of_this_node_is_trusted() -> None:
    """Clouds route prefixes of pods out of the subnet in which the machines of both clusters are."""
    found = _decided({"prefixes": ["2001:db8:5:1:7::/80"]}, ours=Ours(OURS.pods, links=_prefixes("2001:db8:5:1::/64")))

    assert _prefixes("2001:db8:5:1:7::/80") == found.trust.prefixes


def test_more_prefixes_than_node_json_holds_are_refused() -> None:
    """The node would not be able to write its file any more, and with it nothing else that changes."""
    many = [{"prefixes": [f"2001:db8:{n:x}:{m:x}::/64" for m in range(256)]} for n in range(1, 33)]
    (problem,) = _decided(*many).problems

    assert "8193 prefixes" in problem.message


PREFIX = st.builds("2001:db8:{:x}::/{}".format, st.integers(0, 7), st.sampled_from([47, 48])) | st.builds(
    "10.{}.0.0/{}".format, st.integers(78, 98), st.sampled_from([16])
)


@settings(max_examples=examples(200))
@given(st.lists(st.lists(PREFIX, min_size=1, max_size=3), min_size=1, max_size=4))
def test_no_file_makes_anything_of_this_cluster_trusted(listed: list[list[str]]) -> None:
    """Whatever the entries say, what is trusted overlaps neither its pods nor its Services, and holds no own subnet."""
    networks = [[ip_network(one, strict=False) for one in of_member] for of_member in listed]
    flat = [(number, one) for number, of_member in enumerate(networks) for one in of_member]
    if any(a.overlaps(b) for n, a in flat for m, b in flat if n != m):
        return  # the file by itself is refused
    one = parse(members.text(*(members.entry(n, prefixes=list(map(str, of))) for n, of in enumerate(networks))))
    ours = Ours(OURS.pods, OURS.services, _prefixes("2001:db8:4:4::/64"))

    for trusted in decide([one], ours).trust.prefixes:
        assert not any(trusted.overlaps(taken) for taken in (*ours.pods, *ours.services))
        assert not any(link.version == trusted.version and link.subnet_of(trusted) for link in ours.links)  # type: ignore[arg-type]
