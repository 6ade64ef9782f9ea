"""What policies mean, trap by trap: each fact holds for the oracle and for the compiled rules."""

from dataclasses import replace

import pytest

from policy.cluster import (
    ANYTHING,
    ICMP,
    NAMESPACES,
    address,
    allowed,
    block,
    by_name,
    cluster,
    flow,
    labelled,
    pod,
    rule,
    tcp,
    where,
)
from slash80.addressing.ports import SCTP, TCP, UDP
from slash80.policy.model import NamedPort, Operator, Policy, Ports, Rule, Selected, Selector

pytestmark = pytest.mark.parametrize("version", [4, 6])
FROM_B = Selected(pods=labelled(pod="b"))


def _ingress(*rules: Rule, pods: Selector = ANYTHING) -> Policy:
    return Policy("x", "p", pods, ingress=rules)


def _egress(*rules: Rule, pods: Selector = ANYTHING) -> Policy:
    return Policy("x", "p", pods, ingress=None, egress=rules)


def test_a_policy_isolates_in_the_directions_that_it_has(version: int) -> None:
    """With `ingress` None a policy judges what its pods send only, and with `egress` None what they receive only."""
    there, back = flow("x/a", "y/a", version=version), flow("y/a", "x/a", version=version)

    assert allowed(cluster(_egress()), back)
    assert not allowed(cluster(_egress()), there)
    assert allowed(cluster(_ingress()), there)
    assert not allowed(cluster(_ingress()), back)


def test_no_rules_deny_all_and_an_empty_rule_allows_all(version: int) -> None:
    """`ingress: []` denies everything; `ingress: [{}]` allows everything, ICMP too."""
    flows = flow("y/a", "x/a", version=version), flow("y/a", "x/a", 0, ICMP, version)

    assert not allowed(cluster(_ingress()), *flows)
    assert allowed(cluster(_ingress(Rule())), *flows)


def test_no_peers_and_no_ports_are_not_any(version: int) -> None:
    """An empty tuple of peers or ports matches nothing, where None matches all."""
    flows = [flow("y/a", "x/a", version=version)]

    assert not allowed(cluster(_ingress(Rule(peers=()))), *flows)
    assert not allowed(cluster(_ingress(Rule(ports=()))), *flows)
    assert allowed(cluster(_ingress(Rule(peers=None, ports=None))), *flows)


def test_all_ports_of_a_protocol_are_not_all_protocols(version: int) -> None:
    """`ports: [{}]` is TCP at any port: not UDP, not ICMP."""
    any_tcp = cluster(_ingress(rule(ports=(Ports(TCP),))))

    assert allowed(any_tcp, flow("y/a", "x/a", 1, TCP, version), flow("y/a", "x/a", 65535, TCP, version))
    assert not allowed(any_tcp, flow("y/a", "x/a", 80, UDP, version), flow("y/a", "x/a", 0, ICMP, version))


def test_a_range_of_ports_has_both_ends(version: int) -> None:
    """With an endPort both the first and the last port are allowed, and no other; a reversed range has no port."""
    ranged = cluster(_ingress(rule(ports=(tcp(80, 90),))))

    assert allowed(ranged, *(flow("y/a", "x/a", port, TCP, version) for port in (80, 85, 90)))
    assert not allowed(ranged, *(flow("y/a", "x/a", port, TCP, version) for port in (79, 91)))
    assert not allowed(cluster(_ingress(rule(ports=(tcp(90, 80),)))), flow("y/a", "x/a", 85, TCP, version))


def test_a_pod_selector_alone_selects_in_the_policys_own_namespace(version: int) -> None:
    """`podSelector` without `namespaceSelector` selects no pod of another namespace, even with equal labels."""
    own = cluster(_ingress(rule(FROM_B)))

    assert allowed(own, flow("x/b", "x/a", version=version))
    assert not allowed(own, flow("y/b", "x/a", version=version), flow("x/c", "x/a", version=version))


def test_empty_selectors_select_everything(version: int) -> None:
    """`podSelector: {}` is all pods of the namespace, `namespaceSelector: {}` those of all; neither is a stranger."""
    own, every = cluster(_ingress(rule(Selected(pods=ANYTHING)))), cluster(_ingress(rule(Selected(ANYTHING))))

    assert allowed(own, flow("x/c", "x/a", version=version))
    assert not allowed(own, flow("y/c", "x/a", version=version))
    assert allowed(every, flow("x/c", "x/a", version=version), flow("y/c", "x/a", version=version))
    assert not allowed(every, flow("stranger", "x/a", version=version))


def test_a_peer_without_selectors_selects_nothing(version: int) -> None:
    """What the API would refuse allows nothing."""
    assert not allowed(cluster(_ingress(rule(Selected()))), flow("x/b", "x/a", version=version))


def test_both_selectors_of_one_peer_have_to_match(version: int) -> None:
    """One peer with both selectors is an intersection, and two peers with one selector each are a union."""
    of_y = Selected(labelled(ns="y"), labelled(pod="b"))
    either = cluster(_ingress(rule(Selected(labelled(ns="y")), FROM_B)))

    assert allowed(cluster(_ingress(rule(of_y))), flow("y/b", "x/a", version=version))
    assert not allowed(
        cluster(_ingress(rule(of_y))), flow("y/a", "x/a", version=version), flow("x/b", "x/a", version=version)
    )
    assert allowed(either, flow("y/a", "x/a", version=version), flow("x/b", "x/a", version=version))


def test_negated_expressions_match_where_the_key_is_missing(version: int) -> None:
    """NotIn and DoesNotExist select pods without the key; In and Exists do not."""
    for operator in (Operator.NOT_IN, Operator.DOES_NOT_EXIST):
        policy = _ingress(rule(Selected(pods=where("absent", operator, *["v"][: operator is Operator.NOT_IN]))))
        assert allowed(cluster(policy), flow("x/b", "x/a", version=version))
    for operator in (Operator.IN, Operator.EXISTS):
        policy = _ingress(rule(Selected(pods=where("absent", operator, *["v"][: operator is Operator.IN]))))
        assert not allowed(cluster(policy), flow("x/b", "x/a", version=version))


def test_a_broken_policy_isolates_and_allows_nothing(version: int) -> None:
    """A policy that could not be understood denies its pods everything, whatever its rules say; others still allow."""
    broken = replace(_ingress(Rule()), broken="spec.ingress[0].from[0]: ...")
    other = Policy("x", "q", ANYTHING, (rule(FROM_B),))

    assert not allowed(cluster(broken), flow("x/b", "x/a", version=version))
    assert allowed(cluster(broken, other), flow("x/b", "x/a", version=version))
    assert allowed(cluster(broken), flow("x/b", "y/a", version=version))


def test_policies_of_a_pod_are_a_union(version: int) -> None:
    """What one policy allows no other one takes away, in whichever order they stand."""
    deny, allow = Policy("x", "deny", ANYTHING, ()), Policy("x", "allow", labelled(pod="a"), (Rule(),))

    for policies in ([deny, allow], [allow, deny]):
        assert allowed(cluster(*policies), flow("y/b", "x/a", version=version))
        assert not allowed(cluster(*policies), flow("y/b", "x/b", version=version))


def test_egress_and_ingress_have_to_allow_both(version: int) -> None:
    """Between two pods that are isolated, the one's egress does not spare the other's ingress, nor the reverse."""
    send, receive = _egress(Rule()), Policy("y", "r", ANYTHING, ())

    assert not allowed(cluster(send, receive), flow("x/a", "y/a", version=version))
    assert not allowed(cluster(_egress(), replace(receive, ingress=(Rule(),))), flow("x/a", "y/a", version=version))
    assert allowed(cluster(send, replace(receive, ingress=(Rule(),))), flow("x/a", "y/a", version=version))


def test_a_named_port_of_ingress_is_each_subjects_own(version: int) -> None:
    """Two pods of one policy may give one name different numbers, and each is reached at its own."""
    pods = pod("x", "a", ports={("web", TCP): 8080}), pod("x", "b", ports={("web", TCP): 9090}), pod("y", "a")
    policy = cluster(_ingress(rule(ports=(by_name("web"),))), pods=pods)

    assert allowed(policy, flow("y/a", "x/a", 8080, TCP, version), flow("y/a", "x/b", 9090, TCP, version))
    assert not allowed(policy, flow("y/a", "x/a", 9090, TCP, version), flow("y/a", "x/b", 8080, TCP, version))


def test_a_named_port_of_egress_is_the_peers(version: int) -> None:
    """The name is resolved on the pods that are reached, also without a list of peers, and not on the subject."""
    pods = pod("x", "a", ports={("web", TCP): 8080}), pod("y", "a", ports={("web", TCP): 9090}), pod("y", "b")
    anywhere = cluster(_egress(rule(ports=(by_name("web"),))), pods=pods)
    to_pod = cluster(_egress(rule(Selected(ANYTHING, labelled(pod="a")), ports=(by_name("web"),))), pods=pods)

    for policy in (anywhere, to_pod):
        assert allowed(policy, flow("x/a", "y/a", 9090, TCP, version))
        assert not allowed(policy, flow("x/a", "y/a", 8080, TCP, version), flow("x/a", "y/b", 9090, TCP, version))


def test_a_named_port_of_egress_needs_the_peer_too(version: int) -> None:
    """A pod that has the name but is not selected, or not in the block, is not reached."""
    web = by_name("serve-80-tcp")
    of_b = cluster(_egress(rule(Selected(ANYTHING, labelled(pod="b")), ports=(web,))))
    in_block = cluster(_egress(rule(block(f"{address('y/b', version)}"), ports=(web,))))

    for policy in (of_b, in_block):
        assert allowed(policy, flow("x/a", "y/b", 80, TCP, version))
        assert not allowed(policy, flow("x/a", "y/a", 80, TCP, version), flow("x/a", "y/b", 81, TCP, version))


def test_a_named_port_has_its_protocol(version: int) -> None:
    """A name with another protocol, or one that no container has, allows nothing and isolates all the same."""
    for port in (by_name("serve-80-udp"), by_name("unserved"), NamedPort(UDP, "serve-80-tcp")):
        for policy in (_ingress(rule(ports=(port,))), _egress(rule(ports=(port,)))):
            flows = [flow("x/b", "x/a", 80, protocol, version) for protocol in (TCP, UDP, SCTP)]
            assert not allowed(cluster(policy), *flows)


def test_a_block_is_a_prefix_without_its_exceptions(version: int) -> None:
    """The addresses on both sides of an exception are allowed, and the exception is not."""
    whole = "10.80.1.0/24" if version == 4 else "2001:db8::/64"
    policy = cluster(_ingress(rule(block(whole, str(address("x/b", version))))))

    assert allowed(policy, flow("x/c", "x/a", version=version), flow("y/a", "x/a", version=version))
    assert not allowed(policy, flow("x/b", "x/a", version=version), flow("stranger", "x/a", version=version))


def test_an_exception_vetoes_no_other_peer(version: int) -> None:
    """What one block leaves out another block, selector or rule may still allow."""
    whole, one = ("10.80.1.0/24" if version == 4 else "2001:db8::/64"), str(address("x/b", version))
    excepting = block(whole, one)

    for peers in ([excepting, block(one)], [excepting, FROM_B]):
        assert allowed(cluster(_ingress(rule(*peers))), flow("x/b", "x/a", version=version))
    assert allowed(cluster(_ingress(rule(excepting), rule(FROM_B))), flow("x/b", "x/a", version=version))


def test_a_block_that_excepts_all_of_itself_allows_nothing(version: int) -> None:
    """No rule is left of it."""
    whole = "0.0.0.0/0" if version == 4 else "::/0"

    assert not allowed(cluster(_ingress(rule(block(whole, whole)))), flow("x/b", "x/a", version=version))
    assert allowed(cluster(_ingress(rule(block(whole)))), flow("stranger", "x/a", version=version))


def test_each_family_is_isolated_by_itself(version: int) -> None:
    """A rule for the addresses of one family leaves the other one isolated."""
    whole = "0.0.0.0/0" if version == 4 else "::/0"
    policy = cluster(_ingress(rule(block(whole))))

    assert allowed(policy, flow("y/a", "x/a", version=version))
    assert not allowed(policy, flow("y/a", "x/a", version=10 - version))


def test_a_pod_reaches_itself(version: int) -> None:
    """A Service may lead a pod to itself: then both ends are its own address, which no policy forbids."""
    policy = cluster(Policy("x", "p", ANYTHING, (), ()))

    assert allowed(policy, flow("x/a", "x/a", version=version))
    assert not allowed(policy, flow("x/a", "x/b", version=version))


def test_a_pod_in_the_nodes_network_is_neither_subject_nor_peer(version: int) -> None:
    """Its address is the node's, so selecting it would admit all that the node sends; a block has it."""
    pods = (pod("x", "a"), pod("x", "b", host_network=True))

    assert not allowed(cluster(_ingress(rule(FROM_B)), pods=pods), flow("x/b", "x/a", version=version))
    assert allowed(cluster(_ingress(), pods=pods), flow("x/a", "x/b", version=version))
    assert allowed(
        cluster(_ingress(rule(block(str(address("x/b", version))))), pods=pods), flow("x/b", "x/a", version=version)
    )


def test_an_ended_pod_is_no_peer_although_it_has_an_address(version: int) -> None:
    """Another pod may have the address of one that Succeeded or Failed, which then is judged as that other."""
    ended = pod("x", "b", finished=True, created="9")
    heir = pod("x", "c", addresses=ended.addresses)

    from_b, from_c = (_ingress(rule(Selected(pods=labelled(pod=name))), pods=labelled(pod="a")) for name in "bc")
    for policy, reached in ((from_b, False), (from_c, True)):
        for pods in ((pod("x", "a"), ended, heir), (heir, pod("x", "a"), ended)):
            assert reached is allowed(cluster(policy, pods=pods), flow(heir, "x/a", version=version))


def test_of_two_pods_with_one_address_the_newest_has_it(version: int) -> None:
    """The order in which the API shows them does not matter."""
    old, new = pod("y", "b", created="2026-01-01"), pod("y", "c", created="2026-01-02")
    new = replace(new, addresses=old.addresses)
    policies = [_ingress(rule(Selected(ANYTHING, labelled(pod=name)))) for name in "bc"]

    for pods in ((pod("x", "a"), old, new), (new, old, pod("x", "a"))):
        found = [allowed(cluster(one, pods=pods), flow(old, "x/a", version=version)) for one in policies]
        assert [False, True] == found


def test_a_namespace_that_is_not_seen_yet_has_no_labels(version: int) -> None:
    """Pods may be seen before their Namespace: then a selector of namespaces matches as if it had no labels."""
    snapshot = cluster(_ingress(rule(Selected(labelled(ns="y")))), namespaces={"x": NAMESPACES["x"]})
    negated = cluster(_ingress(rule(Selected(where("ns", Operator.NOT_IN, "z")))), namespaces={"x": NAMESPACES["x"]})

    assert not allowed(snapshot, flow("y/a", "x/a", version=version))
    assert allowed(negated, flow("y/a", "x/a", version=version))


def test_names_with_dashes_are_not_confused(version: int) -> None:
    """Pod `c` of namespace `a-b` is not pod `b-c` of namespace `a`: neither is selected where the other one is."""
    one = replace(pod("y", "b"), namespace="a-b", name="c")
    other = replace(pod("y", "c"), namespace="a", name="b-c", labels=one.labels)
    subjects = replace(pod("x", "a"), namespace="a-b"), replace(pod("x", "b"), namespace="a")
    peers = rule(Selected(pods=labelled(pod="b")))
    policies = (Policy("a-b", "c", ANYTHING, (peers,)), Policy("a", "b-c", labelled(pod="b"), (peers,)))
    snapshot = cluster(*policies, pods=(one, other, *subjects))

    assert allowed(snapshot, flow(one, subjects[0], version=version), flow(other, subjects[1], version=version))
    assert not allowed(snapshot, flow(other, subjects[0], version=version), flow(one, subjects[1], version=version))


@pytest.mark.parametrize("protocol", [TCP, UDP, SCTP])
def test_a_protocol_never_stands_for_another(version: int, protocol: int) -> None:
    """A rule for a port of one protocol isolates the others."""
    policies = {one: cluster(_ingress(rule(ports=(Ports(one, 80, 80),)))) for one in (TCP, UDP, SCTP)}

    for one, policy in policies.items():
        assert (one == protocol) is allowed(policy, flow("y/a", "x/a", 80, protocol, version))


def test_icmp_follows_rules_without_ports(version: int) -> None:
    """An echo request passes where peers are allowed at all ports, and where ports are listed it does not."""
    ping = flow("x/b", "x/a", 0, ICMP, version)

    assert allowed(cluster(_ingress(rule(FROM_B))), ping)
    assert not allowed(cluster(_ingress(rule(FROM_B, ports=(tcp(80), Ports(UDP), Ports(SCTP))))), ping)


def test_a_pod_with_one_family_is_judged_in_it(version: int) -> None:
    """A pod without an address of a family is left out of that family's sets, and no more."""
    single = replace(pod("x", "b"), addresses=(address("x/b", version),))
    pods = (single, pod("x", "a"))

    assert allowed(cluster(_ingress(rule(FROM_B)), pods=pods), flow("x/b", "x/a", version=version))
    assert not allowed(cluster(_ingress(rule(FROM_B)), pods=pods), flow("x/b", "x/a", version=10 - version))
