"""A host on the uplink's network asks for the address that is the gateway of pods."""

import select
import socket
import struct

import pytest

from lab.namespaces import Namespace
from lab.probes import is_silent, ping
from lab.rig import Rig

GATEWAY4, GATEWAY6 = "169.254.1.1", "fe80::1"
ETH_P_ARP, BROADCAST = 0x0806, b"\xff" * 6
REQUEST, REPLY = 1, 2


def _answered(host: Namespace, link: str, asks: str, *targets: str) -> set[str]:
    """Ask for addresses by ARP, and return those that anybody on the link says to have."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, REQUEST)
    with host.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ARP)) as raw:
        raw.bind((link, ETH_P_ARP))
        mac = raw.getsockname()[4]
        for target in targets:
            packet = head + mac + socket.inet_aton(asks) + bytes(6) + socket.inet_aton(target)
            raw.sendto(packet, (link, ETH_P_ARP, 0, 0, BROADCAST))
        found = set()
        while select.select([raw], [], [], 0.3)[0]:
            packet = raw.recv(64)
            if packet[6:8] == struct.pack("!H", REPLY):
                found.add(socket.inet_ntoa(packet[14:18]))
    return found


@pytest.mark.every_shape
@pytest.mark.parametrize("strict", [0, 1])
def test_the_gateway_is_on_the_links_of_pods_only(rig: Rig, strict: int) -> None:
    """On the uplink the node answers for its own address, whatever arp_ignore is, as kube-proxy's strictARP sets it."""
    rig.host.sysctl("ipv4/conf/all/arp_ignore", strict)
    pod, node = rig.attach(), rig.node

    assert {node.ipv4} == _answered(rig.site.router, "node1", node.router4, GATEWAY4, node.ipv4)
    assert GATEWAY4 in _answered(pod.pod, "eth0", pod.ipv4, GATEWAY4)


def test_the_gateway_of_ipv6_is_not_known_on_the_uplink(rig: Rig) -> None:
    """A link-local address is of one link; pods have it on theirs."""
    pod = rig.attach()
    pod.pod.ip("addr add fe80::77/64 dev eth0 nodad")

    assert is_silent(rig.site.router, f"{GATEWAY6}%node1")
    assert 1 == ping(pod.pod, f"{GATEWAY6}%eth0", source="fe80::77%eth0")


def test_a_pod_that_has_forgotten_its_gateway_asks_for_it(rig: Rig) -> None:
    """Its permanent neighbour goes with a link that goes down."""
    pod = rig.attach()
    pod.pod.ip(f"neigh del {GATEWAY4} dev eth0")

    assert 1 == ping(pod.pod, rig.node.router4)


def test_the_table_goes_with_the_other_one(rig: Rig) -> None:
    """It is replaced with the firewall, and is back when all rules of the node were flushed."""
    rig.attach()
    before = rig.host.command("nft", "-s", "list", "table", "arp", "slash80")
    rig.host.nft("flush ruleset")
    rig.attach()

    assert before == rig.host.command("nft", "-s", "list", "table", "arp", "slash80")
