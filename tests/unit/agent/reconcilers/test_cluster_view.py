"""What is followed of the cluster, and what is known by it."""

import json
from ipaddress import ip_network
from typing import Any

import pytest

from slash80.agent.reconcilers.cluster_view import ClusterView
from slash80.desired.problems import Reason
from slash80.settings.cluster import ClusterSettings
from slash80.settings.clusterset import KEY
from unit.agent.reconcilers.fakes import OWN, PEER, FakeSource, FakeSources

ALL = ClusterSettings()
SAID = {
    "nodeRoutes": "none",
    "nodePrefixes": ["192.0.2.0/24"],
    "firewall": {"clusterPrefixes": ["2001:db8::/48"], "serviceCIDRs": ["10.96.0.0/16"], "exposeFrom": "all"},
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
    assert view.exposing_namespaces is None


def test_nodes_and_services_are_followed_once(view: ClusterView, sources: FakeSources) -> None:
    """Settings that stay the same begin no further watch."""
    for _ in range(3):
        view.follow(ALL)
    assert [""] == sources.selectors
    assert (OWN, (PEER,), (ip_network("10.96.0.0/16"),)) == (view.own, view.others, view.services)
    assert sources.given.running
    assert sources.services.running
    assert sources.exposing.running
    assert frozenset({"team-a"}) == view.exposing_namespaces


def test_a_list_that_is_not_complete_is_not_a_list(view: ClusterView, sources: FakeSources) -> None:
    """Nodes that are missing from half a list are not gone, and this one must not be decided upon without them."""
    sources.given.synced = sources.services.synced = sources.exposing.synced = False
    view.follow(ALL)
    assert view.exposing_namespaces is None
    assert (None, (), None) == (view.own, view.others, view.services)


def test_a_deleted_node_is_not_known(view: ClusterView, sources: FakeSources) -> None:
    """A Node object that was deleted is no longer among those that are known; the others still are."""
    view.follow(ALL)
    sources.given.objects = [PEER]
    assert (None, (PEER,)) == (view.own, view.others)


def test_only_what_the_settings_need_is_followed(view: ClusterView, sources: FakeSources) -> None:
    """Where nothing follows from the other nodes each agent watches its own only, and so on: each watch has a cause."""
    view.follow(ALONE)
    assert ["metadata.name=a"] == sources.selectors
    assert not sources.services.running
    assert view.services is None
    assert not sources.exposing.running
    assert view.exposing_namespaces is None


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
    sources.given.problem = sources.services.problem = sources.exposing.problem = "the API server refuses it"
    view.follow(ALL)
    reasons = [Reason.WATCH_FAILED, Reason.SERVICES_UNKNOWN, Reason.NAMESPACES_UNKNOWN]
    assert reasons == [problem.reason for problem in view.problems]
    assert "set firewall.serviceCIDRs" in view.problems[1].message

    before, sources.given = sources.given, FakeSource([OWN])
    view.follow(ALONE)
    assert [] == view.problems
    assert ["", "metadata.name=a"] == sources.selectors
    assert not before.running
    assert not sources.services.running
    assert not sources.exposing.running

    sources.given, now = before, sources.given
    view.follow(ALL)
    assert before.running
    assert not now.running


def test_policies_are_followed_unless_they_are_not_enforced(view: ClusterView, sources: FakeSources) -> None:
    """Their list is small, and says whether the largest one is needed, of all Pods."""
    assert view.policies is None
    view.follow(ALL)
    assert sources.of_policies is view.policies
    assert not sources.of_pods.running
    sources.of_policies.synced = False
    assert view.policies is None
    view.follow(ClusterSettings.model_validate({"policy": {"enforce": False}}))
    assert not sources.of_policies.running


def test_what_policies_select_is_followed_while_it_is_needed(view: ClusterView, sources: FakeSources) -> None:
    """Both lists begin and end together, and count only when both are complete."""
    for needed in (False, True, True):
        view.follow_selected(needed=needed)
        assert needed is sources.of_pods.running is sources.of_namespaces.running
    assert view.selected
    assert sources.of_pods is view.selected.pods
    sources.of_namespaces.synced = False
    assert view.selected is None
    sources.of_namespaces.synced = True
    view.follow_selected(needed=False)
    assert (None, False, False) == (view.selected, sources.of_pods.running, sources.of_namespaces.running)


def test_lists_of_policies_that_fail_are_named(view: ClusterView, sources: FakeSources) -> None:
    """An agent without the rights of this version's manifests says so, and what comes of it."""
    for one in (sources.of_policies, sources.of_pods, sources.of_namespaces):
        one.problem = "the API server refuses it: 403"
    view.follow(ALL)
    view.follow_selected(needed=True)
    found = [problem for problem in view.problems if problem.reason is Reason.POLICIES_UNKNOWN]
    paths = ["/apis/networking.k8s.io/v1/networkpolicies", "/api/v1/pods", "/api/v1/namespaces"]
    assert paths == [problem.subject for problem in found]
    assert "refuses it: 403; till then the policies that are in force on this node stay so" in found[0].message
    view.follow_selected(needed=False)
    assert 1 == len([problem for problem in view.problems if problem.reason is Reason.POLICIES_UNKNOWN])


def test_all_lists_end_with_the_agent(view: ClusterView, sources: FakeSources) -> None:
    """Stopping ends every watch, and succeeds where none has begun."""
    view.stop()
    view.follow(ALL)
    view.follow_selected(needed=True)
    view.stop()
    assert not any(one.running for one in (sources.of_policies, sources.of_pods, sources.of_namespaces))
    assert not sources.given.running
    assert not sources.services.running
    assert not sources.exposing.running


def test_the_clusterset_is_always_followed(view: ClusterView, sources: FakeSources) -> None:
    """What is known of its ConfigMap is nothing, that it does not exist, or its file, which may lack the key."""
    view.follow(ALONE)
    assert sources.of_clusterset.running
    given: list[tuple[list[dict[str, str]], list[str | None]]] = [([], []), ([{KEY: "text"}], ["text"]), ([{}], [None])]
    for objects, expected in given:
        sources.of_clusterset.objects = objects
        assert expected == [*(view.clusterset or ())]
    sources.of_clusterset.synced = False
    assert view.clusterset is None


def test_a_clusterset_that_may_not_be_read_is_named(view: ClusterView, sources: FakeSources) -> None:
    """As after an upgrade of the image alone: the sentence says what to apply, and what is in force meanwhile."""
    sources.of_clusterset.problem = "the API server refuses /configmaps: 403"
    view.follow(ALL)
    (problem,) = view.problems
    assert Reason.CLUSTERSET_UNKNOWN == problem.reason
    assert all(word in problem.message for word in ("403", "rbac.yaml", "stays so"))
