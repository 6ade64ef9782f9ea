"""What pods, nodes and the internet reach, from the first packet on, and whom the other side sees."""

from typing import Any

import pytest

from lab.probes import SHORTLY, Protocol, Server, ask, ping, source_seen
from lab.rig import Attachment, Rig
from lab.topology import INTERNET4, INTERNET6, Node
from netns.conftest import MakeRig

INTERNET = {"ipv6": INTERNET6, "ipv4": INTERNET4}
# First packets are tried where least time passes after ADD, in which an address could become usable: an engine that
# exits takes longer than one in this process.
PROTOCOLS = pytest.mark.parametrize("protocol", ["udp", "tcp"])


def address(owner: Attachment | Node, family: str) -> str:
    """Return the address of a pod or node in one family."""
    return str(getattr(owner, family))


@pytest.mark.with_and_without_agent
@PROTOCOLS
def test_first_packet_to_a_new_pod(rig: Rig, family: str, protocol: Protocol) -> None:
    """A pod whose ADD just returned answers the first packet of an older pod and sees that pod's address."""
    pod = rig.site.pod()
    client = rig.attach()
    with Server(pod):
        server = rig.attach(pod)

        assert address(client, family) == source_seen(client.pod, address(server, family), protocol)


@pytest.mark.with_and_without_agent
@PROTOCOLS
def test_first_packet_of_a_new_pod(rig: Rig, family: str, protocol: Protocol) -> None:
    """An older pod answers the first packet of a pod whose ADD just returned and sees that pod's address."""
    server = rig.attach()
    with Server(server.pod):
        client = rig.attach()

        assert address(client, family) == source_seen(client.pod, address(server, family), protocol)


@pytest.mark.with_and_without_agent
@PROTOCOLS
def test_first_ipv6_packet_to_the_internet(rig: Rig, protocol: Protocol) -> None:
    """The first packet of the node's very first pod reaches the internet under the pod's own address."""
    with Server(rig.site.internet):
        client = rig.attach()

        assert client.ipv6 == source_seen(client.pod, INTERNET6, protocol)


@pytest.mark.with_and_without_agent
@PROTOCOLS
def test_first_ipv4_packet_to_the_internet(rig: Rig, protocol: Protocol) -> None:
    """The first IPv4 packet reaches an internet without a route to pods under the node's address."""
    with Server(rig.site.internet):
        client = rig.attach()

        assert rig.node.ipv4 == source_seen(client.pod, INTERNET4, protocol)


def test_ipv4_is_not_masqueraded_when_switched_off(routed: Rig) -> None:
    """With ipv4.masquerade false and routed pod ranges the internet sees the pod's own IPv4 address."""
    rig = routed.having(ipv4={"masquerade": False})
    client = rig.attach()
    with Server(rig.site.internet):
        assert client.ipv4 == source_seen(client.pod, INTERNET4)


def test_no_masquerade_destinations_see_the_pod(routed: Rig) -> None:
    """A destination in ipv4.noMasquerade sees the pod's own IPv4 address."""
    rig = routed.having(ipv4={"noMasquerade": ["198.51.100.0/24"]})
    client = rig.attach()
    with Server(rig.site.internet):
        assert client.ipv4 == source_seen(client.pod, INTERNET4)


@PROTOCOLS
def test_node_reaches_its_pod_from_its_own_address(rig: Rig, family: str, protocol: Protocol) -> None:
    """A probe of the node reaches the pod at once under the node's uplink address, not the gateway's."""
    pod = rig.site.pod()
    with Server(pod):
        server = rig.attach(pod)

        assert address(rig.node, family) == source_seen(rig.host, address(server, family), protocol)


@PROTOCOLS
def test_pod_reaches_its_node_from_its_own_address(rig: Rig, family: str, protocol: Protocol) -> None:
    """The node sees the address of its pod in both families; nothing is masqueraded between them."""
    with Server(rig.host):
        client = rig.attach()

        assert address(client, family) == source_seen(client.pod, address(rig.node, family), protocol)


@PROTOCOLS
def test_internet_does_not_reach_a_pod(routed: Rig, family: str, protocol: Protocol) -> None:
    """A host of the internet gets no answer from a pod, although the router sends it there."""
    server = routed.attach()
    with Server(server.pod):
        assert ask(routed.site.internet, address(server, family), protocol, timeout=SHORTLY) is None


def test_pod_pings_the_internet(rig: Rig, family: str) -> None:
    """Every echo request of a pod is answered, whatever the limit for pings from outside is."""
    client = rig.attach()

    assert ping(client.pod, INTERNET[family], count=50) == 50


@PROTOCOLS
def test_pods_of_one_cluster_meet_across_nodes(make_rig: MakeRig, family: str, protocol: Protocol) -> None:
    """With clusterPrefixes, pods of two nodes reach each other under their own addresses in both families."""
    rig = make_rig(nodes=2, route_ipv4_pods=True)
    cluster = {"clusterPrefixes": [prefix for node in rig.site.nodes for prefix in (node.prefix6, node.prefix4)]}
    server = rig.having(firewall=cluster).attach()
    client = rig.on(rig.site.nodes[1]).having(firewall=cluster).attach()
    with Server(server.pod):
        assert address(client, family) == source_seen(client.pod, address(server, family), protocol)


def test_pods_of_untrusted_nodes_do_not_meet(make_rig: MakeRig, family: str) -> None:
    """Without clusterPrefixes the pods of another node are outside."""
    rig = make_rig(nodes=2, route_ipv4_pods=True)
    server, client = rig.attach(), rig.on(rig.site.nodes[1]).attach()
    with Server(server.pod):
        assert ask(client.pod, address(server, family), timeout=SHORTLY) is None


@pytest.mark.parametrize(("conf", "expected"), [({}, 1400), ({"mtu": 1300}, 1300)])
def test_mtu_of_both_ends(make_rig: MakeRig, conf: dict[str, Any], expected: int) -> None:
    """Both ends have the MTU of the default route's link, or the configured one."""
    rig = make_rig(uplink_mtu=1400).having(**conf)
    attachment = rig.attach()

    assert [expected] == [link["mtu"] for link in rig.host.query(f"link show {attachment.host_ifname}")]
    assert [expected] == [link["mtu"] for link in attachment.pod.query("link show eth0")]


def test_large_transfer_over_a_narrow_path(make_rig: MakeRig, family: str) -> None:
    """1 MB passes a path of 1280 bytes: packet-too-big messages reach the closed pod."""
    rig = make_rig(uplink_mtu=1400)
    rig.site.narrow_path(1280)
    client = rig.attach()
    with Server(rig.site.internet):
        answer = ask(client.pod, INTERNET[family], "tcp", payload=bytes(1_000_000), timeout=60)

    assert answer is not None
    assert answer.size == 1_000_000


def test_single_family(rig: Rig, family: str) -> None:
    """With prefixes of one family only, the pod has only that family, and it works at once."""
    rig = rig.having(**{"ipv4" if family == "ipv6" else "ipv6": None})
    with Server(rig.host):
        client = rig.attach()

        assert len(client.result["ips"]) == 1
        assert address(client, family) == source_seen(client.pod, address(rig.node, family))


def test_first_packet_with_a_single_family(rig: Rig, family: str) -> None:
    """The host end of every one of many pods takes packets when its ADD returns; no IPv6 address says so for IPv4."""
    rig = rig.having(**{"ipv4" if family == "ipv6" else "ipv6": None})
    pods = []
    for _ in range(20):
        pods.append(rig.attach())
        assert ping(pods[-1].pod, address(rig.node, family)) == 1, f"of pod {len(pods)}"


@pytest.mark.with_and_without_agent
def test_first_packet_while_namespaces_go_away(rig: Rig) -> None:
    """A new pod is reached by the first packet also while the kernel is busy with pods that are going away.

    Then the rtnl lock is taken, and an IPv6 address is acknowledged long before the kernel's queue makes it usable.
    """
    for _ in range(10):
        going = [rig.attach().pod for _ in range(3)]
        pod = rig.site.pod()
        for old in going:
            old.delete()
        attachment = rig.attach(pod)

        assert ping(rig.host, attachment.ipv6) == 1
        assert ping(rig.host, attachment.ipv4) == 1
