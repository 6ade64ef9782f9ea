"""A pod turns to what listens on the node that it runs on, where `firewall.node` lists a few ports only."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product

import pytest

from lab import forgery
from lab.namespaces import Namespace
from lab.probes import ANSWERED, SHORTLY, Server, ask, family_of, ping
from lab.rig import Attachment, Rig
from lab.topology import INTERNET4, INTERNET6

KUBELET, LISTED, DNS = 10250, 8080, 53
LOCAL_DNS = "169.254.20.10"
CLUSTER_IP = {"ipv6": "fd00:10:96::1", "ipv4": "10.96.0.1"}
GUARDED = {"node": [f"tcp/{LISTED}", f"udp/{LISTED - 10}-{LISTED}"]}


@pytest.fixture
def guarded(rig: Rig) -> Rig:
    """Close the node to its pods but for a port of each protocol."""
    return rig.having(firewall=GUARDED)


def _listening(host: Namespace, stack: ExitStack) -> list[socket.socket]:
    """Open UDP sockets on all addresses of the node."""
    found = []
    for family, port in product((socket.AF_INET6, socket.AF_INET), (KUBELET, LISTED, DNS)):
        one = stack.enter_context(host.socket(family, socket.SOCK_DGRAM))
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(("", port))
        found.append(one)
    return found


def _received(listening: list[socket.socket]) -> Iterator[tuple[str, int]]:
    """Yield what the datagrams that arrive say, and the port, until nothing comes for a while."""
    while ready := select.select(listening, [], [], 0.3)[0]:
        for one in ready:
            yield one.recv(64).decode(), one.getsockname()[1]


def _ways(rig: Rig, pod: Attachment) -> dict[str, str]:
    """Return addresses by which a pod may try, each with the pod's own."""
    return {
        rig.node.ipv6: pod.ipv6,
        rig.node.ipv4: pod.ipv4,
        "fe80::1": "fe80::77",
        "169.254.1.1": pod.ipv4,
        LOCAL_DNS: pod.ipv4,
    }


@pytest.mark.every_shape
def test_a_pod_reaches_the_listed_ports_of_its_node_by_every_address(guarded: Rig) -> None:
    """And DNS, which has an address of its own on many nodes, whose packets connection tracking does not see."""
    pod = guarded.attach()
    guarded.host.ip(f"addr add {LOCAL_DNS}/32 dev lo")
    guarded.host.nft(
        "table ip nodelocaldns { chain c { type filter hook prerouting priority raw;"
        f" ip daddr {LOCAL_DNS} udp dport {DNS} notrack; }}; }}"
    )
    mac = guarded.host.query(f"link show {pod.host_ifname}")[0]["address"]
    ways = _ways(guarded, pod)
    with ExitStack() as stack:
        listening = _listening(guarded.host, stack)
        for (to, source), port in product(ways.items(), (KUBELET, LISTED, DNS)):
            packet = forgery.datagram((source, 4711), (to, port), to.encode())
            forgery.send_on(pod.pod, "eth0", packet, mac=mac)

        assert set(product(ways, (LISTED, DNS))) == set(_received(listening))


def test_the_node_and_hosts_outside_reach_what_they_reached(guarded: Rig, family: str) -> None:
    """The pod is refused, and neither the node itself nor its uplink is asked."""
    pod = guarded.attach()
    address = getattr(guarded.node, family)
    with Server(guarded.host, KUBELET), Server(guarded.host, LISTED):
        assert ask(pod.pod, address, "tcp", port=KUBELET, timeout=SHORTLY) is None
        assert ask(pod.pod, address, "tcp", port=LISTED) is not None
        assert ask(guarded.host, address, "tcp", port=KUBELET) is not None
        assert ask(guarded.site.router, address, "tcp", port=KUBELET) is not None


def test_what_pods_need_goes_on(guarded: Rig, family: str) -> None:
    """The kubelet's probes, pings both ways, other pods and the Internet."""
    pod, other = guarded.attach(), guarded.attach()
    address = getattr(pod, family)
    with Server(pod.pod):
        assert None not in [ask(one, address, kind) for one in (guarded.host, other.pod) for kind in ("tcp", "udp")]
    assert (1, 1) == (ping(guarded.host, address), ping(pod.pod, getattr(guarded.node, family)))
    assert 1 == ping(pod.pod, INTERNET6 if family == "ipv6" else INTERNET4)


def test_a_service_leads_to_the_node(guarded: Rig, family: str) -> None:
    """As to the API server on its own node, whose port is open by the Service only."""
    pod = guarded.attach()
    word, to = {"ipv6": ("ip6", f"[{guarded.node.ipv6}]"), "ipv4": ("ip", guarded.node.ipv4)}[family]
    rule = f"{word} daddr {CLUSTER_IP[family]} dnat {word} to {to}"
    guarded.host.nft(f"table inet proxy {{ chain c {{ type nat hook prerouting priority dstnat; {rule}; }}; }}")
    with Server(guarded.host, 6443):
        assert ask(pod.pod, CLUSTER_IP[family], "tcp", port=6443) is not None
        assert ask(pod.pod, getattr(guarded.node, family), "tcp", port=6443, timeout=SHORTLY) is None


def test_a_connection_ends_when_the_node_is_closed(rig: Rig, family: str) -> None:
    """The setting takes effect for pods that are there, and for what they have begun; by default all is open."""
    pod, address = rig.attach(), getattr(rig.node, family)
    with (
        rig.host.socket(family_of(address), socket.SOCK_STREAM) as listening,
        pod.pod.socket(family_of(address), socket.SOCK_STREAM) as began,
    ):
        listening.bind((address, KUBELET))
        listening.listen(1)
        for one in (listening, began):
            one.settimeout(ANSWERED)
        began.connect((address, KUBELET))
        with listening.accept()[0] as accepted:
            accepted.settimeout(ANSWERED)
            began.send(b"while it is open")
            assert b"while it is open" == accepted.recv(64)
            rig.having(firewall=GUARDED).attach()
            began.send(b"late")
            assert 1 == ping(pod.pod, address)

            assert [] == select.select([accepted], [], [], 0)[0]


def test_what_was_refused_is_counted(guarded: Rig, family: str) -> None:
    """For each family, under the reason `node`."""
    pod = guarded.attach()
    source, to = getattr(pod, family), getattr(guarded.node, family)
    for _ in range(3):
        forgery.send(pod.pod, forgery.datagram((source, 4711), (to, KUBELET)))
    assert 1 == ping(pod.pod, to)

    listed = guarded.host.command("nft", "list", "chain", "inet", "slash80", "node")
    assert f'counter packets 3 bytes {3 * (48 if family == "ipv6" else 28)} drop comment "node {family}"' in listed
