"""The cluster that is measured: what its API shows is what an agent reads."""

from bench import cluster

from slash80.addressing.ports import TCP
from slash80.cluster.objects.networkpolicy import read_network_policy
from slash80.cluster.objects.pod import read_pod


def test_a_pod_is_read_as_the_runtime_names_it() -> None:
    """Its ADD finds its labels by name and UID, and its addresses are those of its number or of another one."""
    named, found = cluster.named(1234), read_pod(cluster.document(1234, at=5))
    assert (named.namespace, named.name, named.uid) == (found.namespace, found.name, found.uid)
    assert cluster.addresses(5) == found.addresses
    assert {("http", TCP): 8080} == found.ports


def test_pods_a_thousand_apart_are_of_one_application() -> None:
    """They have the same labels and the same policies, so a node needs their rules once."""
    one, other, third = (read_pod(cluster.document(number, at=number)) for number in (7, 1007, 57))
    assert (one.namespace, one.labels) == (other.namespace, other.labels)
    assert one.labels != third.labels


def test_policies_are_understood_and_the_same_in_every_run() -> None:
    """What is measured is not a cluster of broken policies, and two runs can be compared."""
    made = cluster.Policies().made(100)
    assert made == cluster.Policies().made(100)
    assert not any(read_network_policy(one).broken for one in made)
