"""A host outside floods pods with what a firewall has to let in: pings, and what routers say of narrow links."""

import fcntl
import itertools
import resource
import socket
import struct
import termios
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address

import pytest

from lab import forgery
from lab.attacker import Sniffer
from lab.namespaces import Namespace
from lab.probes import PORT, ping
from lab.rig import Rig
from lab.topology import ATTACKER6, INTERNET6
from lab.waiting import PATIENCE, wait_until

FORGED = 70_000  # more sources than there are meters
TOO_BIG_RATE, TOO_BIG_BURST = 100, 1000
FLOWS, SIZE = 1000, 4000


def send(host: Namespace, target: str, packets: Iterable[bytes]) -> None:
    """Send packets with their IP headers as fast as it goes."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with host.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for packet in packets:
            raw.sendto(packet, (target, 0))


def pings_of_many(target: str) -> Iterator[bytes]:
    """Return echo requests, each of another source; the words of an IPv6 one have the same sum, and so its checksum."""
    echo = struct.pack("!BBHHH", 128 if ":" in target else 8, 0, 0, 1, 1)
    template = forgery.icmp("2001:db8:0:0:0:0:ffff:ffff" if ":" in target else "100.64.0.0", target, echo)
    for number in range(FORGED):
        if ":" in target:
            high, low = divmod(number, 1 << 16)
            words = struct.pack("!HHHHHH", high, low, 0, 0, 0xFFFF - high, 0xFFFF - low)
            yield template[:12] + words + template[24:]
        else:
            yield template[:12] + (IPv4Address("100.64.0.0") + number).packed + template[16:]


def test_forged_sources_do_not_silence_honest_pings(routed: Rig, family: str) -> None:
    """When a flood of more sources than are counted at once ends, others' pings are answered, not a minute later."""
    pod = routed.attach()
    target = getattr(pod, family)
    routed.site.router.sysctl("ipv4/conf/all/rp_filter", 0)
    send(routed.site.attacker, target, pings_of_many(target))

    assert ping(routed.site.internet, target) == 1


def too_big(target: str, quoted: Iterable[int]) -> Iterator[bytes]:
    """Return messages of a router about packets that the pod has not sent, from these ports."""
    for port in quoted:
        refused = forgery.datagram((target, port), (INTERNET6, 4711), bytes(100))
        yield forgery.icmp(ATTACKER6, target, struct.pack("!BBHI", 2, 0, 0, 1280) + refused)


@pytest.mark.every_shape
def test_forged_packet_too_big_messages_are_limited(routed: Rig) -> None:
    """A pod gets a thousand about connections that its node does not know, and then a hundred a second."""
    pod = routed.attach()
    begun = time.monotonic()
    with Sniffer(pod.pod, "eth0") as sniffer:
        send(routed.site.attacker, pod.ipv6, too_big(pod.ipv6, range(1, 4 * TOO_BIG_BURST)))
        arrived = [one for one in sniffer.packets() if one.source == ATTACKER6]

    assert TOO_BIG_BURST <= len(arrived) <= TOO_BIG_BURST + TOO_BIG_RATE * (time.monotonic() - begun)


@contextmanager
def many_files() -> Iterator[None]:
    """Allow this process as many descriptors as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def unsent(one: socket.socket) -> int:
    """Return how many bytes the other end has not acknowledged."""
    return int(struct.unpack("i", fcntl.ioctl(one, termios.TIOCOUTQ, bytes(4)))[0])


def test_a_thousand_flows_behind_one_narrow_router_complete(routed: Rig) -> None:
    """Each goes to a host of its own, so each needs a message of the one router, and others were forged before."""
    routed.site.narrow_path(1280)
    far = "2001:db8:fa5::"
    routed.site.internet.ip(f"route add local {far}/64 dev lo")
    routed.site.router.ip(f"route add {far}/64 via {INTERNET6} dev internet mtu 1280")
    pod = routed.attach()
    send(routed.site.attacker, pod.ipv6, too_big(pod.ipv6, range(1, 2 * TOO_BIG_BURST)))
    with many_files(), ExitStack() as stack:
        listening = stack.enter_context(routed.site.internet.socket(socket.AF_INET6, socket.SOCK_STREAM))
        listening.bind(("::", PORT))
        listening.listen(FLOWS)
        flows = [stack.enter_context(pod.pod.socket(socket.AF_INET6, socket.SOCK_STREAM)) for _ in range(FLOWS)]
        for number, one in zip(itertools.count(1), flows, strict=False):
            one.settimeout(5 * PATIENCE)
            one.connect((f"{far}{number:x}", PORT))
        for one in flows:
            one.send(bytes(SIZE))

        wait_until(lambda: not any(map(unsent, flows)))
