"""Pods under containerd: their addresses, what they reach and what reaches them."""

import ipaddress

import pytest

from runtime.internet import FAR, MTU, NODE, far_connect, far_ping
from runtime.node import PREFIX, Node


@pytest.mark.parametrize("primary", [4, 6])
def test_addresses_in_the_order_of_the_configuration(node: Node, primary: int) -> None:
    """The runtime reports one address of each family, out of its prefix, the primary family's first."""
    if primary == 6:  # IPv4 is the default
        node.use(node.conflist(primaryFamily="ipv6"))
    with node.pods() as [pod]:
        found = [ipaddress.ip_address(address) for address in pod.addresses]

    assert [address.version for address in found] == [primary, 10 - primary]
    assert all(address in ipaddress.ip_network(PREFIX[address.version]) for address in found)


def test_pods_reach_each_other(node: Node) -> None:
    """Two pods of a node reach each other by ping and TCP in both families, unmasqueraded."""
    with node.pods(2) as [one, other]:
        for source, target in ((one, other), (other, one)):
            for family, address in target.by_family.items():
                assert node.reaches(source, address) == source.by_family[family]


def test_the_internet_is_reached(node: Node) -> None:
    """A pod reaches the Internet in both families: over IPv4 as the node, over IPv6 by its own address."""
    with node.pods() as [pod]:
        assert node.reaches_internet(pod) == {4: NODE[4], 6: pod.by_family[6]}


def test_the_first_ipv6_packet_passes(node: Node) -> None:
    """The first packet between fresh pods over IPv6 is answered: duplicate detection is not waited for."""
    with node.pods(2) as [one, other]:
        node.ping(one, other.by_family[6])


def test_the_pod_is_wired_for_the_uplink(node: Node) -> None:
    """The pod's interface has the uplink's MTU, and its default routes lead to the link-local gateways."""
    with node.pods() as [pod]:
        show = "cat /sys/class/net/eth0/mtu; ip route; ip -6 route"
        said = node.cri.exec(pod.container, "sh", "-c", show)

    assert said.splitlines()[0] == str(MTU)
    assert "default via 169.254.1.1" in said
    assert "default via fe80::1" in said


def test_the_internet_does_not_reach_in(node: Node) -> None:
    """A pod's public address is not open to the Internet: only replies to its own connections reach it."""
    with node.pods() as [pod]:
        address = pod.by_family[6]
        node.ping(pod, FAR[6])

        assert far_connect(node.box, address) == ""


def test_the_internet_pings(node: Node) -> None:
    """A pod's public address answers a ping from the Internet (`firewall.echo`: limit)."""
    with node.pods() as [pod]:
        assert far_ping(node.box, pod.by_family[6]).returncode == 0
