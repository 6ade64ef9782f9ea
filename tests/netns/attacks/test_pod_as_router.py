"""A pod plays router, DHCP server and node to the node that it runs on."""

import select
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lab import forgery
from lab.namespaces import Namespace
from lab.probes import Server, advertise_router, ask, family_of
from lab.rig import Attachment, Rig

LINK_LOCAL, GATEWAY = "fe80::bad", "fe80::1"
ADVERTISEMENT = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
REDIRECT6 = struct.pack("!BBHI", 137, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, LINK_LOCAL) * 2
REDIRECT4 = struct.pack("!BBH", 5, 1, 0) + socket.inet_aton("192.0.2.9") + bytes(28)
ADVERTISEMENT4 = struct.pack("!BBHBBH", 9, 0, 0, 1, 2, 1800) + socket.inet_aton("192.0.2.9") + bytes(4)
NEIGHBOUR = struct.pack("!BBHI", 136, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, LINK_LOCAL)
Message = tuple[str, int]  # what it is, and its ICMP type or UDP port


@pytest.fixture
def pod(rig: Rig) -> Attachment:
    """Return a pod with a link-local address that it chose, on a host end that believes what it is told."""
    attachment = rig.attach()
    attachment.pod.ip(f"addr add {LINK_LOCAL}/64 dev eth0 nodad")
    for key, value in (("route_localnet", 1), ("accept_redirects", 1), ("secure_redirects", 0), ("rp_filter", 0)):
        rig.host.sysctl(f"ipv4/conf/{attachment.host_ifname}/{key}", value)
    return attachment


def _messages(rig: Rig, pod: Attachment) -> dict[Message, bytes]:
    """Return packets with their IP headers, as they leave the pod."""
    options = struct.pack("!BBBBI", 58, 0, 1, 4, 0)  # a header of destination options with padding only

    def icmp6(body: bytes) -> bytes:
        return forgery.icmp(LINK_LOCAL, GATEWAY, body)

    advertisement = icmp6(ADVERTISEMENT)
    hidden = advertisement[:4] + struct.pack("!HB", len(advertisement) - 40 + 8, 60) + advertisement[7:40] + options
    return {
        ("router advertisement", 134): advertisement,
        ("router advertisement behind options", 134): hidden + advertisement[40:],
        ("redirect", 137): icmp6(REDIRECT6),
        ("IPv4 redirect", 5): forgery.icmp(pod.ipv4, rig.node.ipv4, REDIRECT4),
        ("IPv4 router advertisement", 9): forgery.icmp(pod.ipv4, rig.node.ipv4, ADVERTISEMENT4),
        ("DHCP", 68): forgery.datagram((pod.ipv4, 67), (rig.node.ipv4, 68)),
        ("DHCPv6", 546): forgery.datagram((LINK_LOCAL, 547), (GATEWAY, 546)),
        ("DHCPv6 from any port", 546): forgery.datagram((pod.ipv6, 4711), (rig.node.ipv6, 546)),
        ("neighbour advertisement", 136): icmp6(NEIGHBOUR),
        ("DNS", 53): forgery.datagram((pod.ipv4, 4711), (rig.node.ipv4, 53)),
        ("DNS by IPv6", 53): forgery.datagram((pod.ipv6, 4711), (rig.node.ipv6, 53)),
    }


def _send(rig: Rig, pod: Attachment, packet: bytes) -> None:
    """Send a packet to the node, as a pod that may change its routes can."""
    mac = rig.host.query(f"link show {pod.host_ifname}")[0]["address"]
    forgery.send_on(pod.pod, "eth0", packet, mac=mac)


def _listening(host: Namespace) -> Iterator[socket.socket]:
    """Open sockets that receive what the node does."""
    for family, protocol in ((socket.AF_INET6, socket.IPPROTO_ICMPV6), (socket.AF_INET, socket.IPPROTO_ICMP)):
        yield host.socket(family, socket.SOCK_RAW, protocol)
        for port in (53, 68, 546):
            bound = host.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind(("", port))
            yield bound


def _received(listening: list[socket.socket]) -> set[int]:
    """Return types of ICMP messages and ports of UDP, until nothing comes for a while."""
    found = set()
    while ready := select.select(listening, [], [], 0.3)[0]:
        for one in ready:
            data = one.recv(2048)
            is_icmp = one.type == socket.SOCK_RAW
            found.add(data[20 if one.family == socket.AF_INET else 0] if is_icmp else one.getsockname()[1])
    return found


@pytest.mark.every_shape
def test_the_node_takes_no_control_message_from_a_pod(rig: Rig, pod: Attachment) -> None:
    """Of all that only routers and DHCP servers send nothing arrives, and what every host sends does."""
    taken = set()
    with ExitStack() as stack:
        listening = [stack.enter_context(one) for one in _listening(rig.host)]
        for (what, kind), packet in _messages(rig, pod).items():
            _send(rig, pod, packet)
            taken |= {what for one in _received(listening) if one == kind}

    assert {"neighbour advertisement", "DNS", "DNS by IPv6"} == taken


@pytest.mark.parametrize("forwards", [0, 1])
def test_no_setting_lets_a_pod_become_the_nodes_router(rig: Rig, pod: Attachment, forwards: int) -> None:
    """Neither accept_ra 2 for a link that is there already, nor forwarding that is off on it and on for all."""
    link = f"ipv6/conf/{pod.host_ifname}"
    for key, value in (("accept_ra", 2), ("forwarding", forwards), ("accept_ra_defrtr", 1)):
        rig.host.sysctl(f"{link}/{key}", value)
    before = rig.host.query("-6 route show default")
    advertise_router(pod.pod, "eth0", LINK_LOCAL)
    with Server(rig.host):  # answered after the advertisement was dealt with: one cable keeps its order
        assert ask(pod.pod, rig.node.ipv6) is not None

    assert before == rig.host.query("-6 route show default")


@pytest.mark.parametrize("target", ["127.0.0.1", "127.7.7.7", "::1"])
def test_a_pod_does_not_reach_the_nodes_loopback(rig: Rig, pod: Attachment, target: str) -> None:
    """Although portmap, for a host port, has set route_localnet on its link; the node itself goes on to reach it."""
    with rig.host.socket(family_of(target), socket.SOCK_DGRAM) as listening:
        listening.bind((target, 4712))
        source = pod.ipv6 if ":" in target else pod.ipv4
        _send(rig, pod, forgery.datagram((source, 4711), (target, 4712), b"pod"))
        assert set() == _received([listening])
        with rig.host.socket(family_of(target), socket.SOCK_DGRAM) as asking:
            asking.sendto(b"node", (target, 4712))
        assert {4712} == _received([listening])
