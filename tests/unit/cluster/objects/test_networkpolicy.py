"""NetworkPolicies as the API sends them, and as no API server should."""

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.ports import SCTP, TCP, UDP
from slash80.cluster.objects.networkpolicy import read_network_policy
from slash80.cluster.objects.reading import Unreadable
from slash80.policy.model import (
    Block,
    NamedPort,
    Operator,
    Policy,
    Ports,
    Requirement,
    Rule,
    Selected,
    Selector,
)

EVERYTHING = Selector()
DENY = Policy("ns", "p", EVERYTHING, ())


def read(spec: object) -> Policy:
    """Read a policy `ns/p` with this spec."""
    return read_network_policy({"metadata": {"namespace": "ns", "name": "p"}, "spec": spec})


def ingress(*rules: object) -> tuple[Rule, ...]:
    """Read the ingress rules of a policy that is understood."""
    found = read({"podSelector": {}, "ingress": [*rules]})
    assert "" == found.broken
    assert found.ingress is not None
    return found.ingress


@pytest.mark.parametrize("spec", [{}, None, {"podSelector": {}}, {"podSelector": None, "policyTypes": []}])
def test_a_policy_that_says_nothing_isolates_its_namespace_for_ingress(spec: object) -> None:
    """No podSelector selects all pods, no policyTypes mean ingress, and no rules allow nothing."""
    assert DENY == read(spec)


@pytest.mark.parametrize(
    ("spec", "isolated"),
    [
        ({"ingress": [{}]}, (True, False)),
        ({"egress": []}, (True, False)),
        ({"egress": None}, (True, False)),
        ({"egress": [{}]}, (True, True)),
        ({"policyTypes": ["Egress"]}, (False, True)),
        ({"policyTypes": ["Egress"], "ingress": [{}]}, (False, True)),
        ({"policyTypes": ["Ingress"], "egress": [{}]}, (True, False)),
        ({"policyTypes": ["Ingress", "Egress"]}, (True, True)),
    ],
)
def test_directions_are_those_of_policy_types_or_of_the_rules(spec: object, isolated: tuple[bool, bool]) -> None:
    """Without policyTypes it is ingress always, and egress where there is a rule; other sections are ignored."""
    found = read(spec)
    assert isolated == (found.ingress is not None, found.egress is not None)
    assert "" == found.broken


@pytest.mark.parametrize("rule", [{}, {"from": [], "ports": []}, {"from": None, "ports": None}])
def test_lists_that_are_missing_or_empty_in_a_rule_are_any(rule: object) -> None:
    """A rule without peers and ports allows everything."""
    assert (Rule(None, None),) == ingress(rule)


def test_an_empty_list_of_rules_allows_nothing_and_one_empty_rule_everything() -> None:
    """`ingress: []` and `ingress: [{}]` are opposites."""
    assert () == ingress()
    assert (Rule(),) == ingress({})


@pytest.mark.parametrize(
    ("peer", "read_as"),
    [
        ({"podSelector": {}}, Selected(None, EVERYTHING)),
        ({"namespaceSelector": {}}, Selected(EVERYTHING, None)),
        ({"podSelector": None, "namespaceSelector": {}}, Selected(EVERYTHING, None)),
        (
            {"podSelector": {"matchLabels": {"b": "2", "a": "1"}}, "namespaceSelector": {"matchLabels": {}}},
            Selected(EVERYTHING, Selector((("a", "1"), ("b", "2")))),
        ),
        (
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
            Block(ip_network("10.0.0.0/8"), (ip_network("10.1.0.0/16"),)),
        ),
        ({"ipBlock": {"cidr": "2001:db8:a::1/56"}}, Block(ip_network("2001:db8:a::/56"))),
    ],
)
def test_peers_are_selectors_or_blocks(peer: object, read_as: object) -> None:
    """A missing selector and an empty one differ; host bits of a prefix are left off, as Kubernetes does."""
    assert (Rule((read_as,)),) == ingress({"from": [peer]})  # type: ignore[arg-type]


def test_a_peer_that_says_nothing_matches_nothing() -> None:
    """It must not become a rule for any peer, which a list that is empty from the start is."""
    assert (Rule(()),) == ingress({"from": [{}]})
    assert (Rule((Selected(None, EVERYTHING),)),) == ingress({"from": [{}, {"podSelector": {}}]})


@pytest.mark.parametrize(
    ("port", "read_as"),
    [
        ({}, Ports(TCP)),
        ({"protocol": "UDP"}, Ports(UDP)),
        ({"port": 80}, Ports(TCP, 80, 80)),
        ({"protocol": "SCTP", "port": 80, "endPort": 90}, Ports(SCTP, 80, 90)),
        ({"port": "web"}, NamedPort(TCP, "web")),
        ({"protocol": "UDP", "port": "dns"}, NamedPort(UDP, "dns")),
    ],
)
def test_ports_are_numbers_ranges_names_or_a_protocol(port: object, read_as: object) -> None:
    """The protocol is TCP where none is given, and no port means all ports of the protocol."""
    assert (Rule(None, (read_as,)),) == ingress({"ports": [port]})  # type: ignore[arg-type]


def test_egress_rules_name_their_peers_in_to() -> None:
    """`to` is what `from` is for ingress."""
    found = read({"policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 53}]}]})
    assert (Rule((Selected(None, EVERYTHING),), (Ports(TCP, 53, 53),)),) == found.egress


def test_expressions_of_a_selector_are_read_in_order() -> None:
    """Selectors that mean the same are equal, however they are written, and have one set of peers."""
    expressions = [
        {"key": "tier", "operator": "NotIn", "values": ["b", "a", "b"]},
        {"key": "app", "operator": "Exists"},
        {"key": "app", "operator": "DoesNotExist", "values": []},
        {"key": "app", "operator": "In", "values": ["x"]},
    ]
    expected = (
        Requirement("app", Operator.DOES_NOT_EXIST),
        Requirement("app", Operator.EXISTS),
        Requirement("app", Operator.IN, ("x",)),
        Requirement("tier", Operator.NOT_IN, ("a", "b")),
    )
    for order in (expressions, [*reversed(expressions)]):
        assert Selector((), expected) == read({"podSelector": {"matchExpressions": order}}).pods


BROKEN_RULES: list[tuple[dict[str, Any], str]] = [
    ({"from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}, "spec.ingress[1].from[0].ipBlock.'10.0.0.0/33' is not a prefix"),
    ({"from": [{"ipBlock": {}}]}, "is not a prefix"),
    ({"from": [{"ipBlock": {"cidr": "::/0", "except": [5]}}]}, "ipBlock.except is [5]"),
    ({"from": [{"ipBlock": {"cidr": "::/0"}, "podSelector": {}}]}, "ipBlock stands beside a selector"),
    ({"from": [None]}, "ingress[1].from is [null]"),
    ({"from": {}, "ports": 5}, "from is {}"),
    ({"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}}]}, "'Like'"),
    ({"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]}, "In does not take"),
    ({"from": [{"podSelector": {"matchExpressions": [{"operator": "Exists"}]}}]}, "key is missing"),
    ({"from": [{"namespaceSelector": {"matchLabels": {"a": 1}}}]}, "namespaceSelector.matchLabels.a is 1"),
    ({"from": [{"namespaceSelector": {"matchLabels": {"a": None}}}]}, "matchLabels has null for 'a'"),
    ({"ports": [{"protocol": "ICMP"}]}, "protocol is 'ICMP'"),
    ({"ports": [{"protocol": "tcp"}]}, "protocol is 'tcp'"),
    ({"ports": [{"port": 0}]}, "port is 0"),
    ({"ports": [{"port": 65536}]}, "port is 65536"),
    ({"ports": [{"port": True}]}, "port is true"),
    ({"ports": [{"port": ""}]}, "port is ''"),
    ({"ports": [{"endPort": 90}]}, "port is null"),
    ({"ports": [{"port": "web", "endPort": 90}]}, "port is 'web'"),
    ({"ports": [{"port": 90, "endPort": 80}]}, "endPort is 80"),
    ({"ports": [{"port": 1}] * 10_001}, "ports has 10001 entries"),
]


@pytest.mark.parametrize(("rule", "reason"), BROKEN_RULES, ids=[reason for _, reason in BROKEN_RULES])
def test_a_rule_that_cannot_be_understood_closes_its_pods(rule: object, reason: str) -> None:
    """The whole policy allows nothing then, for the pods that it selects and in the directions that it names."""
    found = read({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": [{}, rule]})
    assert reason in found.broken
    assert "\n" not in found.broken
    assert Policy("ns", "p", Selector((("app", "web"),)), (), None, found.broken) == found


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (7, "spec is 7"),
        ({"policyTypes": "Ingress"}, "spec.policyTypes is 'Ingress'"),
        ({"policyTypes": ["Ingress", "Forward"]}, "'Forward', which is neither"),
        ({"egress": {}}, "spec.egress is {}"),
    ],
)
def test_what_leaves_the_directions_open_closes_both(spec: object, reason: str) -> None:
    """A policy whose directions cannot be told isolates its pods in both of them."""
    found = read(spec)
    assert reason in found.broken
    assert Policy("ns", "p", EVERYTHING, (), (), found.broken) == found


@pytest.mark.parametrize("ports", [[], [{"port": "web"}, {"port": "dns", "protocol": "UDP"}]])
def test_a_policy_with_too_many_selectors_closes_its_pods(ports: list[object]) -> None:
    """Each is a set, and with each name of a port another one: to load 10,000 sets would hold up every other change."""
    peers = [{"podSelector": {"matchLabels": {"app": f"a{number}"}}} for number in range(1001)]
    found = read({"egress": [{"to": peers, "ports": ports}]})

    assert found.broken.startswith(f"spec.egress needs {1001 * (1 + len(ports))} sets of pods, more than 1000; select")
    assert not read({"egress": [{"to": peers[: 1000 // (1 + len(ports))], "ports": ports}]}).broken


def test_a_policy_with_too_many_combinations_closes_its_pods() -> None:
    """200 selectors with 200 ports would be 40,000 rules on every node; as many blocks are one set."""
    ports = [{"port": number} for number in range(1, 201)]
    found = read({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}] * 200, "ports": ports}]})

    assert found.broken.startswith("spec.ingress combines selectors and ports in 40000 ways, more than 10000; list")
    assert () == found.ingress
    assert ingress({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}] * 200, "ports": ports})


def test_a_pod_selector_that_cannot_be_understood_closes_the_whole_namespace() -> None:
    """Any pod of the namespace may be one that it closes, in the directions that it names."""
    found = read({"podSelector": {"matchLabels": []}, "policyTypes": ["Egress"], "egress": [{}]})
    assert "spec.podSelector.matchLabels is []" in found.broken
    assert Policy("ns", "p", EVERYTHING, None, (), found.broken) == found


@pytest.mark.parametrize("metadata", [{}, {"name": "p"}, {"namespace": "ns"}, {"name": 5, "namespace": "ns"}, None])
def test_only_a_policy_without_a_name_is_refused(metadata: object) -> None:
    """It is not known whose pods it closes."""
    with pytest.raises(Unreadable):
        read_network_policy({"metadata": metadata, "spec": {}})


SELECTORS = ["podSelector", "namespaceSelector", "matchLabels", "matchExpressions", "key", "operator", "values"]
SECTIONS = ["policyTypes", "ingress", "egress", "from", "to", "ipBlock", "cidr", "except"]
KEYS = [*SELECTORS, *SECTIONS, "ports", "protocol", "port", "endPort"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70_000) | st.sampled_from(["", "TCP", "In", "a", "10.0.0.0/8", "::/0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=25,
)


@given(JSON)
def test_whatever_a_spec_holds_becomes_a_policy(spec: object) -> None:
    """It isolates something in at least one direction, and what could not be understood allows nothing."""
    found = read(spec)
    assert (found.ingress, found.egress) != (None, None)
    if found.broken:
        assert {found.ingress, found.egress} <= {(), None}
