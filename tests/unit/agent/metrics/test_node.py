"""Metrics of a node's prefixes and addresses, and of what is wrong."""

import math
from dataclasses import replace

from slash80.addressing.family import IPV4, IPV6
from slash80.agent.metrics.node import NodeMetrics
from slash80.agent.reconcilers.board import Outcome
from slash80.agent.reconcilers.node import Node
from slash80.agent.reconcilers.part import attempt
from slash80.desired.problems import Problem, Reason
from slash80.host.address_counts import AddressCounts
from slash80.settings.cluster import ClusterSettings
from unit.agent.metrics.scraped import Scrape, collected
from unit.agent.reconcilers.fakes import V4, V6, Setting
from unit.builders import attachment


def _scrape(setting: Setting) -> Scrape:
    return collected(NodeMetrics(setting.board, setting.cluster))


def test_prefixes_have_their_source_and_state(setting: Setting) -> None:
    """As the part `node` has worked them out; its store says how many addresses are used."""
    setting.tell_calls()
    (setting.folder / "config.yaml").write_text("{}")
    setting.host.store.keep(attachment(1))
    for _ in range(2):  # the first look has the lists of the cluster followed
        attempt(Node(setting.around), setting.around)
    found = _scrape(setting)
    assert 1 == found.value("prefix_info", family="ipv6", prefix=V6, source="spec", state="active")
    assert 1 == found.value("prefix_info", family="ipv4", prefix=V4, source="spec", state="active")
    assert (1, 253) == tuple(found.value("addresses", family="ipv4", state=state) for state in ("allocated", "free"))
    assert 0 == found.value("address_early_reuse_total")


def test_addresses_are_told_by_family_and_state(setting: Setting) -> None:
    """What the part `node` has counted; without it there are no series, and no zeros that would be wrong."""
    assert {} == _scrape(setting).series("addresses")
    counts = (AddressCounts(IPV6, 2**48, 3, 2, 1), AddressCounts(IPV4, 0, 250, 3, 1))
    setting.board.count_addresses(counts, 7)
    found = _scrape(setting)
    assert (2**48, 0) == tuple(found.value("addresses", family=family, state="free") for family in ("ipv6", "ipv4"))
    assert (3, 1) == tuple(found.value("addresses", family="ipv4", state=state) for state in ("cooling", "dying"))
    assert 7 == found.value("address_early_reuse_total")


def test_watches_are_named_each_by_its_list(setting: Setting) -> None:
    """Two lists of Namespaces are two series; one that the server never answered is infinitely old."""
    setting.cluster.follow(ClusterSettings())
    setting.cluster.follow_selected(needed=True)
    setting.sources.of_pods.age = math.inf
    found = _scrape(setting)
    names = {"nodes", "servicecidrs", "exposing_namespaces", "configmaps", "networkpolicies", "pods", "namespaces"}
    assert names == {dict(labels)["resource"] for labels in found.series("watch_age_seconds")}
    assert (0.5, math.inf) == tuple(found.value("watch_age_seconds", resource=name) for name in ("nodes", "pods"))


def test_problems_are_counted_by_code(setting: Setting) -> None:
    """Rejected prefixes as often as one came up, since a node that claims others' does so again and again."""
    rejected = Problem(Reason.PREFIX_OVERLAPS_NODE, "10.80.2.0/24", "node b has it")
    for _ in range(2):
        setting.board.post(
            "node", Outcome(in_force=True, problems=(rejected, replace(rejected, subject="10.80.3.0/24")))
        )
        setting.board.post("node", Outcome(in_force=True))
    setting.board.post("routes", Outcome(in_force=False, problems=(Problem(Reason.ROUTE_CONFLICT, "a", "in the way"),)))
    found = _scrape(setting)
    assert 4 == found.value("prefixes_rejected_total", reason="PrefixOverlapsNode")
    assert 0 == found.value("prefixes_rejected_total", reason="PrefixTooShort")
    assert (1, 0) == (found.value("problems", reason="RouteConflict"), found.value("ready"))
    assert 1 == len(found.series("problems")) == len(found.series("build_info"))
