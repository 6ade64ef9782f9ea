"""Which Pod of the API an interface belongs to, and which of those without one are closed."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from slash80.addressing.attachment import Attachment, Key, State
from slash80.addressing.attachment import Pod as Recorded
from slash80.agent.reconcilers.endpoints import Join
from slash80.firewall.installed import NodePods
from slash80.policy.model import Endpoint, Pod
from unit.agent.reconcilers.fakes import V4, V6, FakeFollowed
from unit.builders import attachment

PREFIXES = (ip_network(V6), ip_network(V4))
ATTACHED = attachment(1, pod=Recorded("shop", "web-0", "first"))
ADDRESSES = ATTACHED.assignment.addresses
SHOWN = Pod("shop", "web-0", "first", {"app": "web"}, node="a")
OTHER = attachment(4, pod=Recorded("bank", "web-0", "other"))
LOST = replace(ATTACHED, pod=Recorded(), netns="")  # read back from the kernel


def joined(one: Attachment, *pods: Pod, isolated: str = "shop") -> Endpoint:
    """Return the endpoint of an attachment on node a, where these Pods are known."""
    followed = FakeFollowed()
    followed.put(*pods)
    (found,) = Join("a", PREFIXES, pods=followed, isolated={isolated}).endpoints(NodePods([one]))
    return found


def test_an_interface_is_joined_with_its_pod() -> None:
    """By namespace, name and UID as the runtime gave them, before the API knows any address of the pod."""
    assert Endpoint(ATTACHED.host_ifname, ADDRESSES, SHOWN) == joined(ATTACHED, SHOWN)


@pytest.mark.parametrize("pods", [(), (replace(SHOWN, uid="second"),), (replace(SHOWN, name="other"),)])
def test_a_pod_that_is_not_shown_yet_is_closed_in_a_namespace_with_policies(pods: tuple[Pod, ...]) -> None:
    """A StatefulSet's pod that was made again has the name of the one before, and perhaps other labels."""
    assert Endpoint(ATTACHED.host_ifname, ADDRESSES, closed=True) == joined(ATTACHED, *pods)
    assert Endpoint(ATTACHED.host_ifname, ADDRESSES) == joined(ATTACHED, *pods, isolated="bank")


def test_another_namespaces_pod_with_the_uid_is_not_taken() -> None:
    """Anyone who creates a Pod can claim a static pod's UID by an annotation."""
    assert joined(ATTACHED, replace(SHOWN, namespace="evil")).pod is None


def test_without_a_uid_the_address_has_to_fit() -> None:
    """A runtime that does not pass K8S_POD_UID leaves a name, which is not enough."""
    nameless = replace(ATTACHED, pod=Recorded("shop", "web-0"))
    assert joined(nameless, SHOWN).closed
    shown = replace(SHOWN, addresses=ADDRESSES[:1])
    assert shown == joined(nameless, shown).pod


def test_a_lost_record_is_joined_by_address_and_node() -> None:
    """The kernel does not know whose an interface is; of two that claim an address the newest has it."""
    old, new = (replace(SHOWN, name=name, addresses=ADDRESSES, created=name) for name in ("2025", "2026"))
    assert new == joined(LOST, new, old).pod
    for other in (replace(new, node="b"), replace(new, host_network=True)):
        assert Endpoint(LOST.host_ifname, ADDRESSES, closed=True) == joined(LOST, other)


def test_what_was_attached_without_a_pod_is_not_judged() -> None:
    """Outside Kubernetes nothing selects it."""
    assert Endpoint(ATTACHED.host_ifname, ADDRESSES) == joined(replace(ATTACHED, pod=Recorded()), SHOWN)


def test_another_networks_interface_is_not_judged() -> None:
    """Its addresses are not of the node's prefixes, whichever pod has it."""
    followed = FakeFollowed()
    followed.put(SHOWN)
    join = Join("a", (ip_network("192.0.2.0/24"),), pods=followed, isolated={"shop"})
    assert [Endpoint(ATTACHED.host_ifname, ADDRESSES)] == join.endpoints(NodePods([ATTACHED]))


def test_a_further_interface_is_marked() -> None:
    """It is judged as its pod is, and no peer."""
    further = attachment(key=Key("container1", "net1"), pod=ATTACHED.pod)
    found = joined(further, SHOWN)
    assert (SHOWN, False) == (found.pod, found.first)


def test_each_interface_of_a_container_may_have_the_addresses_of_all() -> None:
    """A reply from one link's address may leave by another link, and each link's verdict is that of its pod."""
    net1 = attachment(2, key=Key("container1", "net1"), pod=ATTACHED.pod)
    gone = attachment(3, key=Key("container1", "net2"), pod=ATTACHED.pod, state=State.TERMINATING)
    followed = FakeFollowed()
    followed.put(SHOWN)
    found = Join("a", PREFIXES, pods=followed, isolated={"shop"}).endpoints(NodePods([ATTACHED, net1, gone, OTHER]))
    both = ADDRESSES, net1.assignment.addresses
    assert [
        (ATTACHED.host_ifname, (*both[0], *both[1]), SHOWN),
        (net1.host_ifname, (*both[1], *both[0]), SHOWN),
        (OTHER.host_ifname, OTHER.assignment.addresses, None),
    ] == [(one.ifname, one.addresses, one.pod) for one in found]


def test_interfaces_that_end_are_left_out_and_foreign_ones_accepted() -> None:
    """The map has to have every link of ours, as it drops what it does not know."""
    foreign, dying = attachment(2), replace(attachment(3), state=State.TERMINATING)
    followed = FakeFollowed()
    followed.put(SHOWN)
    join = Join("a", PREFIXES, pods=followed, isolated={"shop"})
    found = join.endpoints(NodePods([ATTACHED, dying], [replace(foreign, netns="")]))
    assert [(ATTACHED.host_ifname, SHOWN, False), (foreign.host_ifname, None, False)] == [
        (one.ifname, one.pod, one.closed) for one in found
    ]


def test_pods_of_this_node_are_expected_until_they_have_an_interface() -> None:
    """Pods of other nodes never come, nor do those in the network of the host or that have ended."""
    never = [
        replace(SHOWN, name="far", node="b"),
        replace(SHOWN, name="host", host_network=True),
        replace(SHOWN, name="ended", finished=True),
    ]
    followed = FakeFollowed()
    followed.put(SHOWN, *never)
    join = Join("a", PREFIXES, pods=followed, isolated={"shop"})

    (coming,) = join.expected([])
    assert SHOWN == coming.pod
    assert {4, 6} == {address.version for address in coming.addresses}
    assert [] == join.expected(join.endpoints(NodePods([ATTACHED])))
