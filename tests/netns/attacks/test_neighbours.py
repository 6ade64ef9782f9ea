"""A pod fills the neighbour table of its node, which all links share and the kernel limits (`gc_thresh3`, 1024)."""

import random
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest

from lab import forgery
from lab.probes import ping
from lab.rig import Attachment, Rig
from lab.topology import INTERNET4, INTERNET6

GATEWAY4, GATEWAY6, MAC = "169.254.1.1", "fe80::1", bytes.fromhex("02000000 0bad")
ETH_P_ARP = 0x0806
FORGED = 2000
FEW = 40  # a link's own, and what is let in while the test runs
_chance = random.Random(80)


def _link_local() -> str:
    return str(IPv6Address("fe80::1:0:0:0") + _chance.getrandbits(48))


def _arp(operation: int) -> bytes:
    sender = IPv4Address("100.64.0.0") + _chance.getrandbits(22)
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return head + MAC + sender.packed + bytes(6) + socket.inet_aton(GATEWAY4)


def _solicitation(source: str) -> bytes:
    body = struct.pack("!BBHI", 135, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, GATEWAY6)
    return forgery.icmp(source, GATEWAY6, body + struct.pack("!BB", 1, 1) + MAC)


def _router_solicitation() -> bytes:
    return forgery.icmp(_link_local(), GATEWAY6, struct.pack("!BBHI", 133, 0, 0, 0) + struct.pack("!BB", 1, 1) + MAC)


def _echo_request() -> bytes:
    return forgery.icmp(_link_local(), GATEWAY6, struct.pack("!BBHHH", 128, 0, 0, 1, 1))


KINDS: dict[str, Callable[[], bytes]] = {
    "ARP requests": lambda: _arp(1),
    "ARP replies": lambda: _arp(2),
    "solicitations of link-local addresses": lambda: _solicitation(_link_local()),
    "solicitations of other addresses": lambda: _solicitation(
        str(IPv6Address("2001:db8:0:1:1::") + _chance.getrandbits(48))
    ),
    "router solicitations": _router_solicitation,
    "echo requests": _echo_request,
}


def _send(rig: Rig, pod: Attachment, make: Callable[[], bytes]) -> None:
    mac = bytes.fromhex(rig.host.query(f"link show {pod.host_ifname}")[0]["address"].replace(":", ""))
    with pod.pod.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as raw:
        for _ in range(FORGED):
            packet = make()
            kind = {4: ETH_P_ARP if packet[:2] == b"\0\1" else 0x0800, 6: 0x86DD}.get(packet[0] >> 4, ETH_P_ARP)
            raw.sendto(packet, ("eth0", kind, 0, 0, mac))


@pytest.mark.parametrize("kind", KINDS)
def test_a_pod_does_not_fill_the_neighbour_table(rig: Rig, kind: str) -> None:
    """Of two thousand senders that it invents hardly any become neighbours, and the node's other links go on."""
    pod = rig.attach()
    _send(rig, pod, KINDS[kind])
    assert len(rig.host.query(f"neigh show nud all dev {pod.host_ifname}")) < FEW

    rig.host.ip("neigh flush dev eth0")
    assert [1, 1] == [ping(pod.pod, INTERNET6), ping(rig.host, INTERNET4)]


def test_a_pod_keeps_a_link_local_address_of_its_own(rig: Rig) -> None:
    """Its node answers it, whatever other pods do."""
    pod, other = rig.attach(), rig.attach()
    _send(rig, other, KINDS["solicitations of link-local addresses"])
    pod.pod.ip("addr add fe80::77/64 dev eth0 nodad")

    assert ping(pod.pod, f"{GATEWAY6}%eth0", source="fe80::77%eth0") == 1


def test_a_host_end_has_no_permanent_neighbour(rig: Rig) -> None:
    """A plugin later in the chain, as tuning, may change the pod's MAC."""
    pod = rig.attach()
    assert [ping(rig.host, one) for one in pod.addresses] == [1, 1]

    assert "PERMANENT" not in str(rig.host.query(f"neigh show nud all dev {pod.host_ifname}"))
