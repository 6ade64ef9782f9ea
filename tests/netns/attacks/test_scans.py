"""A host scans ten thousand addresses that nothing has: each packet ends at once and leaves nothing on the node."""

import itertools
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network

import pytest

from lab import forgery
from lab.namespaces import Namespace
from lab.probes import ping
from lab.rig import Attachment, Rig
from lab.topology import ATTACKER4, ATTACKER6

ADDRESSES, FEW = 10_000, 40  # what the node itself has and resolves while the test runs
WIDE4 = "10.64.0.0/16"  # of the node, since a /24 does not have so many addresses


@pytest.fixture
def rig(routed: Rig) -> Rig:
    """Give the node an IPv4 prefix with enough addresses."""
    routed.site.router.ip(f"route add {WIDE4} via {routed.node.ipv4}")
    return routed.having(ipv4={"prefixes": [WIDE4]})


def unassigned(rig: Rig, pod: Attachment, family: str) -> Iterator[str]:
    """Return addresses from the end of the node's prefix, where ADD has given the pod none."""
    last = ip_network({"ipv6": rig.node.prefix6, "ipv4": WIDE4}[family])[-2]
    every = (str(last - number) for number in itertools.count())
    return itertools.islice((one for one in every if one not in pod.addresses), ADDRESSES)


def scan(scanner: Namespace, source: str, targets: Iterator[str]) -> None:
    """Send a SYN and a datagram to each address; the scanner's kernel may say that it got an error back."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with scanner.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for target in targets:
            for kind in (forgery.syn, forgery.datagram):
                with suppress(OSError):
                    raw.sendto(kind((source, 4711), (target, 443)), (target, 0))


def neighbours(rig: Rig) -> int:
    """Count the node's neighbours on all links."""
    return sum(len(rig.host.query(f"{option} neigh show nud all")) for option in ("-4", "-6"))


def connections(rig: Rig) -> int:
    """Count what connection tracking holds."""
    return int(rig.host.sysctl("netfilter/nf_conntrack_count"))


@pytest.mark.parametrize("scanner", ["outside", "pod"])
def test_a_scan_of_the_nodes_prefixes_leaves_nothing_on_the_node(rig: Rig, family: str, scanner: str) -> None:
    """From outside or from a pod, whose packets the node would otherwise resolve and track one by one."""
    pod = rig.attach()
    outside = {"ipv6": ATTACKER6, "ipv4": ATTACKER4}[family]
    host, source = (rig.site.attacker, outside) if scanner == "outside" else (pod.pod, getattr(pod, family))
    before = neighbours(rig), connections(rig)
    scan(host, source, unassigned(rig, pod, family))
    ping(host, getattr(rig.node, family))  # what was sent before has arrived

    after = neighbours(rig), connections(rig)
    assert [True, True] == [now - then < FEW for then, now in zip(before, after, strict=True)], (before, after)
