"""A pod, or its accomplice outside, takes what all pods of a node share: connections, source ports, neighbours."""

import itertools
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from lab import forgery
from lab.namespaces import Namespace
from lab.probes import Server, ask, ping
from lab.rig import Rig
from lab.topology import INTERNET4, INTERNET6

INTERNET = {"ipv6": INTERNET6, "ipv4": INTERNET4}
RATE, BURST = 100, 400  # of new connections, and what may come at once
MANY = 3000
FEW = 40  # what the node and the test itself bring
# A refused connection would be forgotten at once.
SILENCE = "table inet silence { chain c { type filter hook prerouting priority 0; meta l4proto { tcp, udp } drop; }; }"
Packets = Callable[[str, str], Iterator[bytes]]


def datagrams(source: str, target: str) -> Iterator[bytes]:
    """Return datagrams to many ports."""
    return (forgery.datagram((source, 4711), (target, port)) for port in range(1000, 1000 + MANY))


def syns(source: str, target: str) -> Iterator[bytes]:
    """Return packets that open connections from many ports to one."""
    return (forgery.syn((source, 10_000 + port), (target, 443)) for port in range(MANY))


def queries(source: str, target: str) -> Iterator[bytes]:
    """Return datagrams from many ports to one, as many more as UDP ports are free sooner."""
    return (forgery.datagram((source, 10_000 + port), (target, 53)) for port in range(3 * MANY))


def send(host: Namespace, packets: Iterable[bytes]) -> None:
    """Send packets with their IP headers as fast as it goes."""
    with (
        host.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as six,
        host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as four,
    ):
        for packet in packets:
            if packet[0] >> 4 == 4:
                four.sendto(packet, (str(ip_address(packet[16:20])), 0))
            else:
                six.sendto(packet, (str(ip_address(packet[24:40])), 0))


def connections(rig: Rig) -> int:
    """Count what connection tracking holds."""
    return int(rig.host.sysctl("netfilter/nf_conntrack_count"))


@contextmanager
def bounded(count: Callable[[], int], burst: int, rate: int, *, least: int) -> Iterator[None]:
    """Demand that a count grows by no more in the block than the burst, and the rate for the time that it takes."""
    begun, before = time.monotonic(), count()
    yield
    grown = count() - before

    assert least <= grown <= burst + rate * (time.monotonic() - begun) + FEW


def assert_reached(rig: Rig, family: str, port: int = 7) -> None:
    """Demand that another pod opens connections to the same host."""
    other = rig.attach()
    with Server(rig.site.internet, port):
        assert [True] * 2 == [ask(other.pod, INTERNET[family], one, port=port) is not None for one in ("tcp", "udp")]


@pytest.mark.every_shape
@pytest.mark.parametrize("goal", ["outside", "node"])
def test_a_pod_does_not_fill_the_table_of_connections(rig: Rig, family: str, goal: str) -> None:
    """Whether what it sends is forwarded or meant for its node; another pod opens connections as before."""
    rig = rig.having(firewall={"connectionRate": RATE})
    pod = rig.attach()
    target = INTERNET[family] if goal == "outside" else getattr(rig.node, family)
    with bounded(lambda: connections(rig), BURST, RATE, least=BURST):
        send(pod.pod, datagrams(getattr(pod, family), target))
    assert_reached(rig, family)


def test_a_host_outside_does_not_fill_the_table_of_connections(routed: Rig, family: str) -> None:
    """Nor do all addresses of its /64, where pods are open; another host opens connections as before."""
    rig = routed.having(firewall={"mode": "open", "connectionRate": RATE})
    pod = rig.attach()
    target = getattr(pod, family)
    sources = [f"2001:db8:bad::{number:x}" for number in range(MANY)] if family == "ipv6" else ["203.0.113.66"] * MANY
    with bounded(lambda: connections(rig), BURST, RATE, least=BURST):
        ends = (((source, 4711), (target, port)) for port, source in enumerate(sources, 1000))
        send(rig.site.attacker, itertools.starmap(forgery.datagram, ends))
    with Server(pod.pod):
        assert ask(rig.site.internet, target, "tcp") is not None


def test_trusted_hosts_have_no_rate(routed: Rig, family: str) -> None:
    """A whole node of pods has one /64, and its own bounds."""
    rig = routed.having(
        firewall={"trusted": ["2001:db8:bad::/64", "203.0.113.0/24"], "connectionRate": RATE, "trustedSource": "loose"}
    )
    pod = rig.attach()
    before = connections(rig)
    source = {"ipv6": "2001:db8:bad::66", "ipv4": "203.0.113.66"}[family]
    send(rig.site.attacker, datagrams(source, getattr(pod, family)))

    assert connections(rig) - before >= MANY


def test_a_busy_pod_is_not_cut(rig: Rig, family: str) -> None:
    """By default thousands of connections may begin at once, and any number where no rate is set."""
    for firewall in ({}, {"connectionRate": 0}):
        pod = rig.having(firewall=firewall).attach()
        before = connections(rig)
        send(pod.pod, datagrams(getattr(pod, family), INTERNET[family]))
        assert connections(rig) - before >= MANY
        rig.detach(pod)


@pytest.mark.parametrize(("packets", "burst", "rate"), [(syns, 1000, 250), (queries, 4000, 1000)])
def test_a_pod_does_not_take_all_ports_towards_one_host(
    rig: Rig, family: str, packets: Packets, burst: int, rate: int
) -> None:
    """Hidden behind the node's address, all pods share them; another pod connects to the same port as before."""
    rig = rig.having(ipv6={"masquerade": True}, firewall={"connectionRate": 0})
    rig.site.internet.nft(SILENCE)
    pod = rig.attach()
    with bounded(lambda: connections(rig), burst, rate, least=burst):
        send(pod.pod, packets(getattr(pod, family), INTERNET[family]))
    rig.site.internet.nft("delete table inet silence")
    assert_reached(rig, family, port=443 if packets is syns else 53)


def test_a_pod_that_scans_a_link_of_the_node_does_not_fill_the_neighbour_table(rig: Rig, family: str) -> None:
    """It has a bounded number of new hosts looked up, and their packets are not tracked; the node goes on."""
    rig.host.ip("addr add 10.99.0.1/16 dev eth0")
    pod = rig.attach()

    def address(number: int) -> str:
        return f"2001:db8:0:1:77::{number:x}" if family == "ipv6" else f"10.99.{number >> 8}.{number & 0xFF}"

    def neighbours() -> int:
        found = rig.host.query(f"-{family[-1]} neigh show nud all dev eth0")
        return len([one for one in found if one["state"] != ["NOARP"]])  # a group has no host to look up

    # The kernel's table is one for all namespaces: other tests may take a part of it.
    with bounded(neighbours, 100, 20, least=0), bounded(lambda: connections(rig), 100, 20, least=100):
        scanned = ((address(number), 443) for number in range(2, 2 + MANY))
        send(pod.pod, (forgery.datagram((getattr(pod, family), 4711), one) for one in scanned))
    other = rig.attach()
    rig.host.ip("neigh flush dev eth0")
    assert [1, 1] == [ping(other.pod, INTERNET[family]), ping(rig.host, INTERNET[family])]
