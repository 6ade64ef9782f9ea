"""Metrics of NetworkPolicies."""

import math

import pytest

from slash80.addressing.attachment import Pod as Recorded
from slash80.addressing.ports import TCP
from slash80.agent.metrics.policies import PolicyMetrics
from slash80.agent.policy_gate import GateCounts
from slash80.agent.reconcilers.part import attempt
from slash80.agent.reconcilers.policies import Policies
from slash80.policy.model import Pod, Policy, Ports, Rule, Selector
from slash80.settings.cluster import ClusterSettings, PolicySettings
from unit.agent.metrics.scraped import Scrape, collected
from unit.agent.reconcilers.fakes import Setting
from unit.builders import attachment


class Node:
    """A node whose part `policies` looks when told to, and what it tells a scraper."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.enforcement, self.now = setting, setting.enforcement(), 0.0
        self.part = Policies(setting.around, self.enforcement)
        setting.write_node_file()

    def look(self, *policies: Policy) -> None:
        """Have these policies, and look."""
        self.setting.sources.of_policies.put(*policies)
        used = PolicySettings()
        self.setting.board.enforce(used)
        self.setting.cluster.follow(ClusterSettings(policy=used))
        for _ in range(2):  # the lists of pods and namespaces begin with the first look
            attempt(self.part, self.setting.around)

    def scrape(self) -> Scrape:
        """Return what a scraper reads."""
        setting = self.setting
        return collected(PolicyMetrics(setting.board, setting.gate, self.enforcement, clock=lambda: self.now))


@pytest.fixture
def node(setting: Setting) -> Node:
    """Provide a node without policies."""
    return Node(setting)


def broken(namespace: str, name: str) -> Policy:
    """Return a policy that cannot be understood."""
    return Policy(namespace, name, Selector(), broken="spec is 5")


def test_policies_are_counted_and_unusable_ones_named_with_their_code(node: Node) -> None:
    """An operator sees which policy is not in force without a look at logs, and a rule can ask for the code."""
    node.look(Policy("shop", "good", Selector()), broken("shop", "odd"))
    found = node.scrape()
    assert (1, 1, 0) == tuple(found.value("policies", state=state) for state in ("usable", "invalid", "refused"))
    assert 1 == found.value("policies_refused", namespace="shop", policy="odd", reason="PolicyInvalid")
    assert 1 == len(found.series("policies_refused"))
    assert (0, 1) == (found.value("policies_refused_left_out"), found.value("policies_in_force"))

    node.look(Policy("shop", "odd", Selector()))
    assert {} == node.scrape().series("policies_refused")


def test_a_policy_that_the_kernel_refuses_is_counted_apart(node: Node) -> None:
    """Other nodes, whose kernels take it, may have it in force."""
    pod = attachment(1, pod=Recorded("shop", "web", "uid"))
    node.setting.host.store.keep(pod)
    node.setting.sources.of_pods.put(Pod("shop", "web", "uid", {}, pod.assignment.addresses, node="a"))
    node.setting.table.refused = {"dport 666"}
    node.look(Policy("shop", "odd", Selector(), (Rule(ports=(Ports(TCP, 666, 666),)),)))
    found = node.scrape()
    assert (0, 0, 1) == tuple(found.value("policies", state=state) for state in ("usable", "invalid", "refused"))
    assert 1 == found.value("policies_refused", namespace="shop", policy="odd", reason="PolicyRefused")
    assert 1 == found.value("policies_isolated_interfaces")


def test_ten_thousand_policies_of_one_tenant_are_a_hundred_series(node: Node) -> None:
    """What is left out is counted, and policies of others are among those that are named."""
    hostile = [broken("evil", f"p{number:05}") for number in range(10_000)]
    node.setting.sources.of_policies.objects = [*hostile, broken("shop", "odd")]
    node.look()
    found = node.scrape()
    assert 100 == len(found.series("policies_refused"))
    assert 1 == found.value("policies_refused", namespace="shop", policy="odd", reason="PolicyInvalid")
    assert (10_001, 9_901) == (found.value("policies", state="invalid"), found.value("policies_refused_left_out"))


def test_half_a_character_in_a_name_costs_no_scrape(node: Node) -> None:
    """JSON may name one, and UTF-8 cannot hold it."""
    node.look(broken("shop", 'a"\ud800\n\\'))
    ((labels, _),) = node.scrape().series("policies_refused").items()
    assert ("policy", 'a"?\n\\') in labels


def test_age_and_state_tell_of_a_table_that_no_longer_follows(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the kernel refuses, or a list is not complete, the table is as it was, and its age grows."""
    before = node.scrape()
    assert (0, math.inf) == (before.value("policies_in_force"), before.value("policies_age_seconds"))
    monkeypatch.setattr("slash80.agent.reconcilers.policies.time.monotonic", lambda: 100.0)
    node.look(Policy("shop", "good", Selector()))
    node.now = 107.0
    found = node.scrape()
    assert (1, 7) == (found.value("policies_in_force"), found.value("policies_age_seconds"))

    monkeypatch.setattr("slash80.agent.reconcilers.policies.time.monotonic", lambda: 110.0)
    node.setting.sources.of_pods.synced = False
    node.look()
    node.now = 160.0
    found = node.scrape()
    assert (0, 60) == (found.value("policies_in_force"), found.value("policies_age_seconds"))


def test_waits_of_adds_are_counted_by_what_they_came_to(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that got no answer are the ones whose pods began closed."""
    counts = GateCounts(asked=9, answered=5, unanswered=3, refused=2, milliseconds=1500.0)
    monkeypatch.setattr(node.setting.gate, "counts", lambda: counts)
    found = node.scrape()
    outcomes = ("answered", "unanswered", "refused")
    assert (5, 3, 2) == tuple(found.value("policy_waits_total", outcome=outcome) for outcome in outcomes)
    assert (5, 1.5) == (found.value("policy_wait_seconds_count"), found.value("policy_wait_seconds_sum"))
    assert 1 == found.value("policy_waiting")
    assert 0 == found.value("policies_connections_ended_total")
