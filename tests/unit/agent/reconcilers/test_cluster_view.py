"""What is followed of the cluster, and what is known by it."""

import json
from ipaddress import ip_network
from typing import Any

import pytest

from slash80.agent.reconcilers.cluster_view import ClusterView
from slash80.desired.problems import Reason
from slash80.settings.cluster import ClusterSettings
from unit.agent.reconcilers.fakes import OWN, PEER, FakeSource, FakeSources

ALL = ClusterSettings()
SAID = {
    "nodeRoutes": "none",
    "nodePrefixes": ["192.0.2.0/24"],
    "firewall": {"clusterPrefixes": ["2001:db8::/48"], "serviceCIDRs": ["10.96.0.0/16"]},
}
ALONE = ClusterSettings.model_validate(SAID)


@pytest.fixture
def sources() -> FakeSources:
    """Return a cluster of two nodes."""
    return FakeSources(OWN, PEER)


@pytest.fixture
def view(sources: FakeSources) -> ClusterView:
    """Return node a's view of it."""
    return ClusterView("a", sources)


def test_nothing_is_known_before_anything_is_followed(view: ClusterView) -> None:
    """An agent that watches nothing yet knows no Node and no Service, and reports no problem."""
    assert (None, (), None, []) == (view.own, view.others, view.services, view.problems)


def test_nodes_and_services_are_followed_once(view: ClusterView, sources: FakeSources) -> None:
    """Settings that stay the same begin no further watch."""
    for _ in range(3):
        view.follow(ALL)
    assert [""] == sources.selectors
    assert (OWN, (PEER,), (ip_network("10.96.0.0/16"),)) == (view.own, view.others, view.services)
    assert sources.given.running
    assert sources.services.running


def test_a_list_that_is_not_complete_is_not_a_list(view: ClusterView, sources: FakeSources) -> None:
    """Nodes that are missing from half a list are not gone, and this one must not be decided upon without them."""
    sources.given.synced = sources.services.synced = False
    view.follow(ALL)
    assert (None, (), None) == (view.own, view.others, view.services)


def test_a_deleted_node_is_not_known(view: ClusterView, sources: FakeSources) -> None:
    """A Node object that was deleted is no longer among those that are known; the others still are."""
    view.follow(ALL)
    sources.given.objects = [PEER]
    assert (None, (PEER,)) == (view.own, view.others)


def test_only_what_the_settings_need_is_followed(view: ClusterView, sources: FakeSources) -> None:
    """Where nothing follows from the other nodes each agent watches its own only, and Services are in the settings."""
    view.follow(ALONE)
    assert ["metadata.name=a"] == sources.selectors
    assert not sources.services.running
    assert view.services is None


@pytest.mark.parametrize(
    "key", [("nodeRoutes",), ("nodePrefixes",), ("firewall", "clusterPrefixes")], ids=lambda key: key[-1]
)
def test_other_nodes_are_followed_where_something_follows_from_them(
    view: ClusterView, sources: FakeSources, key: tuple[str, ...]
) -> None:
    """Routes, the nodes' addresses and the pods' prefixes: each of them alone is reason enough."""
    document: dict[str, Any] = json.loads(json.dumps(SAID))
    *sections, last = key
    del (document[sections[0]] if sections else document)[last]
    view.follow(ClusterSettings.model_validate(document))
    assert [""] == sources.selectors


def test_a_list_that_is_needed_no_more_is_ended_with_its_problem(view: ClusterView, sources: FakeSources) -> None:
    """A watch that is no longer needed may keep failing, and must not be reported."""
    sources.given.problem = sources.services.problem = "the API server refuses it"
    view.follow(ALL)
    assert [Reason.WATCH_FAILED, Reason.SERVICES_UNKNOWN] == [problem.reason for problem in view.problems]
    assert "set firewall.serviceCIDRs" in view.problems[1].message

    before, sources.given = sources.given, FakeSource([OWN])
    view.follow(ALONE)
    assert [] == view.problems
    assert ["", "metadata.name=a"] == sources.selectors
    assert not before.running
    assert not sources.services.running

    sources.given, now = before, sources.given
    view.follow(ALL)
    assert before.running
    assert not now.running


def test_all_lists_end_with_the_agent(view: ClusterView, sources: FakeSources) -> None:
    """Stopping ends every watch, and succeeds where none has begun."""
    view.stop()
    view.follow(ALL)
    view.stop()
    assert not sources.given.running
    assert not sources.services.running
