"""A path through a router that forwards less than a pod's link carries: what the router says reaches closed pods."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from lab.namespaces import Namespace
from lab.probes import PORT, family_of
from lab.rig import Rig
from lab.topology import INTERNET4, INTERNET6
from lab.waiting import PATIENCE

INTERNET = {"ipv6": INTERNET6, "ipv4": INTERNET4}
TRUSTED = ["2001:db8:ffff::/64", "198.51.100.0/24"]
NARROW, SIZE = 1280, 1_000_000
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def rig(routed: Rig) -> Rig:
    """Let the router in the middle forward 1280 bytes and tell of it, between links of 1500; pods are closed."""
    routed.site.narrow_path(NARROW)
    return routed


@contextmanager
def connected(client: Namespace, server: Namespace, address: str) -> Iterator[Pair]:
    """Open a connection; both ends then never wait."""
    with ExitStack() as stack:
        family = family_of(address)
        listening, began = (stack.enter_context(one.socket(family, socket.SOCK_STREAM)) for one in (server, client))
        began.settimeout(5 * PATIENCE)
        listening.bind((address, PORT))
        listening.listen(1)
        began.connect((address, PORT))
        accepted = stack.enter_context(listening.accept()[0])
        for one in (began, accepted):
            one.settimeout(0)
        yield began, accepted


def exchanged(pair: Pair, size: int) -> list[int]:
    """Send so many bytes from each end at once, until nothing arrives any more; return what each end received."""
    left, received = dict.fromkeys(pair, size), dict.fromkeys(pair, 0)
    while any(count < size for count in received.values()):
        readable, writable, _ = select.select(pair, [one for one in pair if left[one]], [], 20 * PATIENCE)
        if not readable and not writable:
            break
        for one in writable:
            left[one] -= one.send(bytes(min(left[one], 1 << 16)))
        for one in readable:
            received[one] += len(one.recv(1 << 16))
    return list(received.values())


def test_a_pod_that_connects_sends_and_receives_through_a_narrow_path(rig: Rig, family: str) -> None:
    """1 MB arrives in each direction, with IPv6 as it is and IPv4 masqueraded."""
    pod = rig.attach()
    with connected(pod.pod, rig.site.internet, INTERNET[family]) as pair:
        assert [SIZE] * 2 == exchanged(pair, SIZE)


def test_a_pod_that_is_connected_to_sends_and_receives_through_a_narrow_path(rig: Rig, family: str) -> None:
    """1 MB arrives in each direction where a trusted host has opened the connection."""
    pod = rig.having(firewall={"trusted": TRUSTED}).attach()
    with connected(rig.site.internet, pod.pod, getattr(pod, family)) as pair:
        assert [SIZE] * 2 == exchanged(pair, SIZE)
