"""What the firewall has to have for a node's interfaces: names, words, and what follows from changes."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from policy.cluster import (
    ANYTHING,
    PODS,
    block,
    by_name,
    cluster,
    endpoints,
    labelled,
    pod,
    rule,
    tcp,
)
from slash80.addressing.ports import SCTP, TCP, UDP
from slash80.policy.compile import Compiler, compile_rules
from slash80.policy.model import Direction, Endpoint, Policy, Ports, Rule, Selected, Selector
from slash80.policy.records import ACCEPT, CLOSED, Dispatched, PolicyRules

V4, V6 = PODS[0].addresses
LOCAL = Endpoint("s80a", PODS[0].addresses, PODS[0])
INGRESS4, EGRESS4 = Dispatched(Direction.INGRESS, "s80a", V4), Dispatched(Direction.EGRESS, "s80a", V4)


def _chain(*policies: Policy, key: Dispatched = INGRESS4) -> list[str]:
    """Return the rules of x/a without the end, with a letter for the hash of a set."""
    found = compile_rules(cluster(*policies), [LOCAL])
    *rules, hairpin, end = found.chains[found.verdicts[key]]
    assert hairpin == "ip saddr . ip daddr @self4 accept"
    assert end == f"goto dropped_{key.direction}"
    for name in found.sets:
        rules = [one.replace(name, name[:2]) for one in rules]
    return rules


def _ingress(*rules: Rule) -> Policy:
    return Policy("x", "p", ANYTHING, rules)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (rule(ports=(tcp(80),)), ["tcp dport 80 accept"]),
        (rule(ports=(tcp(80, 90),)), ["tcp dport 80-90 accept"]),
        (rule(ports=(Ports(SCTP, 9, 9), Ports(UDP))), ["meta l4proto 17 accept", "sctp dport 9 accept"]),
        (rule(Selected(pods=ANYTHING)), ["ip saddr @a4 accept"]),
        (rule(Selected(pods=ANYTHING), ports=(tcp(80),)), ["tcp dport 80 ip saddr @a4 accept"]),
        (rule(block("10.0.0.0/8"), ports=(tcp(80),)), ["tcp dport 80 ip saddr 10.0.0.0/8 accept"]),
        (rule(block("10.0.0.0/8", "10.1.0.0/16")), ["ip saddr @b4 accept"]),
        (rule(block("0.0.0.0/0"), ports=(tcp(80),)), ["tcp dport 80 accept"]),
        (rule(block("::/0")), []),
        (rule(ports=(by_name("serve-80-tcp"),)), ["tcp dport 80 accept"]),
        (rule(ports=(by_name("unserved"),)), []),
    ],
)
def test_rules_compare_the_port_before_the_address(of: Rule, expected: list[str]) -> None:
    """Protocols stand by number, one prefix in the rule itself, several ranges in a set, and no set is anonymous."""
    assert expected == _chain(_ingress(of))


def test_named_ports_of_peers_are_in_a_set_with_their_numbers() -> None:
    """The protocol is part of the key, so what stands in place of ports in another packet matches nothing."""
    egress = Policy("x", "p", ANYTHING, None, (rule(Selected(ANYTHING), ports=(by_name("serve-80-tcp"),)),))

    assert ["ip daddr . meta l4proto . th dport @n4 accept"] == _chain(egress, key=EGRESS4)
    sets = compile_rules(cluster(egress), [LOCAL]).sets
    (found,) = (one for name, one in sets.items() if name.startswith("n6"))
    assert "ipv6_addr . inet_proto . inet_service" == found.type
    assert {(one.addresses[1], TCP, 80) for one in PODS} == found.members


def test_who_may_do_everything_has_no_chain() -> None:
    """An interface of a pod that no policy isolates, or that one allows everything, is accepted in the map."""
    for policies in ((), (_ingress(Rule(), rule(ports=(tcp(80),))),)):
        found = compile_rules(cluster(*policies), [LOCAL])
        assert {ACCEPT} == set(found.verdicts.values())
        assert 4 == len(found.verdicts)
        assert not found.chains
        assert not found.sets


def test_an_interface_without_a_known_pod_is_open_or_closed() -> None:
    """Of a pod that the API has not shown nothing is known but its namespace, which decides."""
    unknown = Endpoint("s80a", (V4,), None, closed=True)

    assert {CLOSED} == set(compile_rules(cluster(), [unknown]).verdicts.values())
    assert {ACCEPT} == set(compile_rules(cluster(), [replace(unknown, closed=False)]).verdicts.values())


def test_a_further_interface_is_judged_as_the_pod_and_is_no_peer() -> None:
    """Its addresses lead to the pod's chain, with the pod's named ports, and are in no set but the hairpin's."""
    second = Endpoint("s80b", (ip_address("10.80.1.200"),), PODS[0], first=False)
    policy = _ingress(rule(Selected(pods=ANYTHING), ports=(by_name("serve-80-tcp"),)))
    found = compile_rules(cluster(policy), [LOCAL, second])

    assert found.verdicts[INGRESS4] == found.verdicts[Dispatched(Direction.INGRESS, "s80b", second.addresses[0])]
    assert ["self4"] == [name for name, one in found.sets.items() if "10.80.1.200" in str(one.members)]


def test_equal_selectors_share_a_set() -> None:
    """The order of labels and values does not matter, nor in which policy of the namespace they stand."""
    one, other = labelled(pod="b", role="db"), Selector((("role", "db"), ("pod", "b")))
    policies = (
        Policy("x", "p", ANYTHING, (rule(Selected(pods=one)),)),
        Policy("x", "q", ANYTHING, (rule(Selected(pods=other), ports=(tcp(80),)),)),
    )

    found = compile_rules(cluster(*policies), [LOCAL])
    assert 2 == len([name for name in found.sets if name.startswith("a")])  # one for each family


def test_a_selector_of_two_namespaces_is_two_sets() -> None:
    """A selector of pods alone means other pods in another namespace; names hash with separators."""
    peers = rule(Selected(pods=labelled(pod="b")))
    policies = (Policy("x", "p", ANYTHING, (peers,)), Policy("y", "p", ANYTHING, (peers,)))

    found = compile_rules(cluster(*policies), endpoints(cluster()))
    assert 4 == len([name for name in found.sets if name.startswith("a")])


def test_pods_with_the_same_policies_share_a_chain() -> None:
    """Chains are as many as combinations of policies, and families and directions."""
    found = compile_rules(cluster(_ingress(rule(ports=(tcp(80),)))), endpoints(cluster()))

    assert {"i4", "i6"} == {name[:2] for name in found.chains}
    assert 2 == len(found.chains)


def _compiler(*policies: Policy) -> Compiler:
    compiler, snapshot = Compiler(), cluster(*policies)
    compiler.update(
        pods=[(None, one) for one in snapshot.pods],
        namespaces=[(None, one) for one in snapshot.namespaces.values()],
        policies=[(None, one) for one in policies],
    )
    return compiler


def _same(compiler: Compiler) -> PolicyRules:
    """Return the rules, which have to be what compiling from nothing gives."""
    local = endpoints(compiler.snapshot())
    found = compiler.rules(local)
    assert compile_rules(compiler.snapshot(), local) == found
    return found


def test_a_set_that_did_not_change_is_the_same_object() -> None:
    """So that comparing with what is in force costs nothing for most of thousands of members."""
    compiler = _compiler(_ingress(rule(Selected(pods=labelled(pod="b"))), rule(Selected(labelled(ns="y")))))
    before = _same(compiler)

    compiler.update(pods=[(pod("y", "a"), None)])
    after = _same(compiler)

    kept = [name for name in before.sets if before.sets[name] is after.sets[name] and name.startswith("a")]
    assert 2 == len(kept)


def test_where_only_members_change_nothing_else_is_made_again() -> None:
    """Chains and verdicts of the same endpoints and policies are the same objects, so they need no comparison."""
    compiler = _compiler(_ingress(rule(Selected(labelled(ns="y")))))
    local = endpoints(compiler.snapshot())
    before = compiler.rules(local)

    compiler.update(pods=[(pod("y", "a"), None)])
    after = compiler.rules(list(local))

    assert before.verdicts is after.verdicts
    assert before.chains is after.chains
    assert before.sets != after.sets
    compiler.update(policies=[(None, Policy("x", "q", ANYTHING, ()))])
    assert before.verdicts is not compiler.rules(local).verdicts


def test_labels_of_a_namespace_move_its_pods() -> None:
    """When a namespace gets other labels, its pods leave the sets of one selector and join those of another."""
    compiler = _compiler(_ingress(rule(Selected(labelled(ns="y")))))
    before = _same(compiler)
    old = compiler.snapshot().namespaces["y"]

    compiler.update(namespaces=[(old, replace(old, labels={"ns": "other"}))])
    after = _same(compiler)

    assert not any(len(one.members) for name, one in after.sets.items() if name.startswith("a"))
    compiler.update(namespaces=[(None, old)])
    assert before == _same(compiler)


def test_a_deleted_namespace_has_no_labels() -> None:
    """Its pods may be seen longer than itself."""
    compiler = _compiler(_ingress(rule(Selected(labelled(ns="y")))))
    compiler.update(namespaces=[(compiler.snapshot().namespaces["y"], None)])

    assert not any(len(one.members) for name, one in _same(compiler).sets.items() if name.startswith("a"))


def test_policies_come_change_and_go() -> None:
    """The same policy again changes nothing, a deleted one leaves nothing behind."""
    policy = _ingress(rule(Selected(pods=labelled(pod="b"))))
    compiler = _compiler(policy)
    before = _same(compiler)

    compiler.update(policies=[(policy, policy)])
    assert before == _same(compiler)
    compiler.update(policies=[(policy, replace(policy, ingress=()))])
    assert not any(name.startswith("a") for name in _same(compiler).sets)
    compiler.update(policies=[(policy, None), (None, None)])
    assert not _same(compiler).chains


def test_an_address_passes_to_the_next_pod_that_claims_it() -> None:
    """When the newest of those that claim an address is gone, the one before has it again."""
    compiler = _compiler(_ingress(rule(Selected(labelled(ns="y"), labelled(pod="c")))))
    claiming = replace(pod("y", "c"), addresses=pod("y", "b").addresses, created="9")
    before = _same(compiler)

    compiler.update(pods=[(pod("y", "c"), claiming)])
    assert before != _same(compiler)
    compiler.update(pods=[(claiming, replace(claiming, finished=True))])
    assert not any(pod("y", "b").addresses[0] in one.members for one in _same(compiler).sets.values())
    compiler.update(pods=[(None, pod("y", "c"))])
    assert before == _same(compiler)
