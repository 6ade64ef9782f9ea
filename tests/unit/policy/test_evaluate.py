"""Why a flow is allowed or not, in words."""

from dataclasses import replace
from ipaddress import ip_address

from policy.cluster import ANYTHING, PODS, cluster, flow, labelled, rule, tcp
from slash80.policy.evaluate import Reason, evaluate
from slash80.policy.model import Direction, Flow, Policy, Rule, Selected, Snapshot

DENY = Policy("x", "deny", ANYTHING, ())
FROM_B = Policy("x", "from-b", ANYTHING, (rule(ports=(tcp(81),)), rule(Selected(pods=labelled(pod="b")))))


def _ingress(snapshot: Snapshot, one: Flow) -> Reason:
    egress, ingress = evaluate(snapshot, one).reasons
    assert (Direction.EGRESS, Direction.INGRESS) == (egress.direction, ingress.direction)
    return ingress


def test_a_drop_names_the_policies_that_isolate() -> None:
    """Where no rule allows a flow, all policies that isolate the pod are named."""
    found = _ingress(cluster(DENY, FROM_B), flow("y/a", "x/a"))

    assert (DENY, FROM_B) == found.policies
    assert found.allowing is None
    assert "x/a is isolated for ingress by x/deny, x/from-b, and no rule there allows it." == found.sentence


def test_an_allowed_flow_names_the_rule() -> None:
    """The rule is named as it is found in the policy's spec, counted from 0."""
    found = _ingress(cluster(DENY, FROM_B), flow("x/b", "x/a"))

    assert (FROM_B, 1) == found.allowing
    assert "NetworkPolicy x/from-b allows it by ingress[1]." == found.sentence


def test_a_pod_that_is_not_isolated_is_said_to_be_so() -> None:
    """Without a policy that selects the pod in a direction, nothing is judged there."""
    found = _ingress(cluster(DENY), flow("x/a", "y/a"))

    assert found.allowed
    assert "No policy selects y/a for ingress, so all ingress is allowed." == found.sentence


def test_an_address_of_no_pod_is_said_to_be_so() -> None:
    """Strangers are not judged for what they receive."""
    found = _ingress(cluster(DENY), flow("x/a", "stranger"))

    assert found.subject is None
    assert "198.51.100.7 is not the address of a pod that a policy could select for ingress." == found.sentence


def test_a_pod_and_its_own_node_reach_each_other() -> None:
    """The kubelet's probes pass, from any address of the node; those of another node do not."""
    node, other = ip_address("192.0.2.1"), ip_address("192.0.2.2")
    snapshot = cluster(replace(DENY, egress=()), nodes={"node1": (node,), "node2": (other,)})
    pod = PODS[0].addresses[0]

    assert evaluate(snapshot, Flow(node, pod, 6, 80)).allowed
    assert evaluate(snapshot, Flow(pod, node, 6, 10250)).allowed
    assert not evaluate(snapshot, Flow(other, pod, 6, 80)).allowed
    assert not evaluate(snapshot, Flow(pod, other, 6, 80)).allowed


def test_a_further_interface_is_judged_as_its_pod_and_is_no_peer() -> None:
    """Its addresses are not in the API: who asks has to say whose they are."""
    further = ip_address("10.80.1.200")
    snapshot = cluster(FROM_B, further={further: PODS[0]})
    of_b = cluster(FROM_B, further={further: PODS[1]})

    assert not evaluate(snapshot, Flow(PODS[2].addresses[0], further, 6, 80)).allowed
    assert evaluate(snapshot, Flow(PODS[1].addresses[0], further, 6, 80)).allowed
    assert not evaluate(of_b, Flow(further, PODS[0].addresses[0], 6, 80)).allowed


def test_a_pod_that_reaches_itself_is_said_to_do_so() -> None:
    """Also where a rule would allow it, the reason is that no policy could forbid it."""
    found = _ingress(cluster(Policy("x", "all", ANYTHING, (Rule(),))), flow("x/a", "x/a"))

    assert "No policy keeps x/a from reaching itself." == found.sentence
