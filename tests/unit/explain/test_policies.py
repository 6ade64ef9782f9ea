"""What NetworkPolicies are said to do with a connection."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from slash80.addressing.ports import SCTP, TCP, UDP
from slash80.explain import policies, words
from slash80.explain.records import End, Result
from slash80.policy.model import (
    Block,
    Direction,
    NamedPort,
    Operator,
    Peer,
    Pod,
    Policy,
    Port,
    Ports,
    Requirement,
    Rule,
    Selected,
    Selector,
)
from unit.explain.ways import FAR, FRONT, KNOWN, NODE_A, NODE_B, WEB, ask, pod, sentence, told, with_policies

EVERY = Selector()
DENY = Policy("shop", "deny", EVERY)
FRONTS = Selected(pods=Selector((("app", "front"),)))
WEB80 = Policy("shop", "web", Selector((("app", "web"),)), (Rule((FRONTS,), (Ports(TCP, 80, 80),)),))
NO_EGRESS = Policy("shop", "quiet", EVERY, None, ())


def test_no_policy_is_a_sentence_as_well() -> None:
    """In each direction it says that nothing isolates the pod."""
    path = ask(FRONT, WEB)
    assert sentence(path, "egress") == "no NetworkPolicy isolates pod shop/front for egress"
    assert sentence(path, "ingress") == "no NetworkPolicy isolates pod shop/web for ingress"
    assert path.result is Result.ALLOW


def test_the_rule_that_allows_is_named() -> None:
    """With its policy, its place there, and what it says in words."""
    path = ask(FRONT, WEB, known=with_policies(DENY, WEB80))
    assert sentence(path, "ingress") == (
        "pod shop/web is isolated for ingress, and NetworkPolicy shop/web lets it receive from pods app=front of "
        "namespace shop on tcp/80"
    )
    assert ("NetworkPolicy shop/web ingress[0]", Result.ALLOW) == (path.steps[-1].rule, path.result)


def test_a_policy_that_cannot_be_used_says_so_in_its_refusal() -> None:
    """It isolates and allows nothing, and the reason belongs to the answer."""
    broken = replace(WEB80, ingress=(), broken="spec.ingress is 'x', but must be a list")
    text = sentence(ask(FRONT, WEB, known=with_policies(broken)), "ingress")
    assert "shop/web allows nothing, as it cannot be used: spec.ingress is 'x', but must be a list; to allow it" in text


def test_both_directions_are_said_and_either_may_drop() -> None:
    """What the source may not send is said beside what the destination would let in."""
    path = ask(FRONT, FAR, known=with_policies(NO_EGRESS))
    assert told(path) == [("source", "allow"), ("edge", "allow"), ("egress", "drop"), ("ingress", "allow")]
    assert "no rule there allows tcp/80 to pod far/probe (2001:db8:0:2::7)" in sentence(path, "egress")


@pytest.mark.parametrize("ends", [(NODE_A, WEB), (WEB, NODE_A), (WEB, WEB)], ids=str)
def test_nothing_separates_a_pod_from_itself_and_its_node(ends: tuple[Pod | End, Pod | End]) -> None:
    """Policies that allow nothing at all let the node's own packets through, and a pod's by a Service to itself."""
    assert ask(*ends, known=with_policies(DENY, NO_EGRESS)).result is Result.ALLOW


def test_another_node_is_judged_as_any_host() -> None:
    """A pod that may send nothing does not reach a node that it does not run on."""
    assert ask(WEB, NODE_B, known=with_policies(NO_EGRESS)).result is Result.DROP
    assert ask(NODE_B, WEB, known=with_policies(DENY)).result is Result.DROP


def test_policies_that_could_not_be_read_leave_the_answer_open() -> None:
    """Who may not list them learns which ones are missing, and never that something is allowed."""
    path = ask(FRONT, WEB, known=replace(KNOWN, hidden=(("shop", "403 forbidden"),)))
    assert path.result is Result.UNKNOWN
    assert sentence(path, "ingress") == (
        "the NetworkPolicies of namespace shop could not be read, so this is not known: 403 forbidden"
    )


def test_policies_that_are_not_enforced_change_nothing() -> None:
    """With `policy.enforce: false` the sentence says why they are without effect."""
    path = ask(FRONT, WEB, known=replace(with_policies(DENY), enforced=False))
    assert (Result.ALLOW, "NetworkPolicies are not enforced: policy.enforce is false") == (
        path.result,
        sentence(path, "ingress"),
    )


SELECTORS = [
    (Selector(), ""),
    (Selector((("a", "b"), ("c", "d"))), "a=b,c=d"),
    (Selector((), (Requirement("tier", Operator.IN, ("x", "y")),)), "tier in (x,y)"),
    (Selector((), (Requirement("tier", Operator.NOT_IN, ("x",)),)), "tier notin (x)"),
    (Selector((("a", "b"),), (Requirement("tier", Operator.EXISTS),)), "a=b,tier"),
    (Selector((), (Requirement("tier", Operator.DOES_NOT_EXIST),)), "!tier"),
]


@pytest.mark.parametrize(("selector", "text"), SELECTORS)
def test_selectors_are_written_as_kubectl_takes_them(selector: Selector, text: str) -> None:
    """So that they can be tried with `kubectl get pods -l`."""
    assert words.selector(selector) == text


RULES: list[tuple[tuple[Peer, ...] | None, tuple[Port, ...] | None, str]] = [
    (None, None, "from everywhere on every port and protocol"),
    ((), (), "from nothing on nothing"),
    ((Selected(pods=EVERY),), (Ports(TCP),), "from all pods of namespace shop on every tcp port"),
    ((Selected(EVERY),), (Ports(UDP, 53, 53),), "from all pods of every namespace on udp/53"),
    ((Selected(Selector((("t", "1"),)), EVERY),), (Ports(SCTP, 1, 9),), "from all pods of namespaces t=1 on sctp/1-9"),
    ((FRONTS,), (NamedPort(TCP, "http"),), "from pods app=front of namespace shop on tcp port 'http'"),
    (
        (Block(ip_network("10.0.0.0/8"), (ip_network("10.1.0.0/16"),)), Block(ip_network("2001:db8::/32"))),
        None,
        "from 10.0.0.0/8 without 10.1.0.0/16, 2001:db8::/32 on every port and protocol",
    ),
]


@pytest.mark.parametrize(("peers", "ports", "text"), RULES)
def test_rules_are_written_in_words(peers: tuple[Peer, ...] | None, ports: tuple[Port, ...] | None, text: str) -> None:
    """Missing lists are everything, empty ones nothing."""
    assert words.rule(Rule(peers, ports), Direction.INGRESS, "shop") == text


def test_what_applies_to_a_pod_is_listed_by_policy() -> None:
    """Those of its namespace that select it, in one direction, each with its rules or the reason that it has none."""
    broken = replace(DENY, name="broken", broken="spec is odd")
    other = replace(DENY, namespace="far")
    found = policies.applied(WEB, [WEB80, other, NO_EGRESS, DENY, broken], Direction.INGRESS)
    assert [(one.policy, one.rules, one.broken) for one in found] == [
        ("shop/broken", (), "spec is odd"),
        ("shop/deny", (), ""),
        ("shop/web", ("from pods app=front of namespace shop on tcp/80",), ""),
    ]
    assert policies.applied(pod("shop", "host", 9, host_network=True), [DENY], Direction.INGRESS) == ()
