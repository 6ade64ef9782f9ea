"""Connections that were begun before a policy, and that it does not allow: they end, and go on if it is taken back."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lab.namespaces import Namespace
from lab.policies import Judged, Wall, everybody
from lab.probes import SHORTLY, Protocol
from lab.rig import Attachment
from lab.topology import INTERNET4, INTERNET6
from netns.policies.conftest import Pods
from slash80.firewall.policies.revoke import revoke
from slash80.firewall.policies.table import PolicyTable
from slash80.policy.model import Flow

MARK, PORT = 31, 4567
OUTSIDE = {"ipv6": INTERNET6, "ipv4": INTERNET4}
_PATIENTLY = 60.0  # TCP sends again ever later what was dropped for a while


@pytest.fixture
def marked(wall: Wall) -> Iterator[Wall]:
    """Provide the table that drops connections with the bit."""
    marked = replace(wall, table=PolicyTable(MARK))
    try:
        yield marked
    finally:
        marked.table.close()


class Conversation:
    """A connection between two namespaces, of which each end can say something that the other receives."""

    def __init__(self, client: Namespace, server: Namespace, address: str, protocol: Protocol) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[protocol]
        with ExitStack() as stack:
            self.client = stack.enter_context(client.socket(family, kind))
            opened = stack.enter_context(server.socket(family, kind))
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(("", PORT))
            for one in (opened, self.client):
                one.settimeout(_PATIENTLY)
            if protocol == "tcp":
                opened.listen()
            self.client.connect((address, PORT))
            if protocol == "tcp":
                self.server = stack.enter_context(opened.accept()[0])
            else:
                self.client.send(b"first")
                opened.connect(opened.recvfrom(100)[1])
                self.server = opened
                self.server.send(b"answer")  # until then each packet is judged as the first
                self.client.recv(100)
            self._opened = stack.pop_all()

    def close(self) -> None:
        """End both ends."""
        self._opened.close()

    def passes(self, *, forth: bool, timeout: float = _PATIENTLY) -> bool:
        """Report whether something that one end says now arrives, within this time."""
        sender, receiver = (self.client, self.server) if forth else (self.server, self.client)
        sender.send(b"!")
        receiver.settimeout(timeout)
        try:
            return bool(receiver.recv(100))
        except TimeoutError:
            return False


def _ended(wall: Wall, allowed: Callable[[Flow], bool], *pods: Attachment) -> int:
    addresses = [ip_address(address) for pod in pods for address in pod.addresses]
    return wall.run(lambda: revoke(addresses, allowed, MARK))


def _refusing(seen: set[Flow]) -> Callable[[Flow], bool]:
    """Return what allows no flow and keeps those that it was asked about."""

    def allowed(flow: Flow) -> bool:
        seen.add(flow)
        return False

    return allowed


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("isolated", ["client", "server"])
def test_a_connection_ends_and_goes_on(
    marked: Wall, pods: Pods, family: str, protocol: Protocol, isolated: str
) -> None:
    """A connection that a new policy of either pod forbids ends in both directions, and goes on after the policy."""
    a, b, c = pods
    with closing(Conversation(a.pod, b.pod, getattr(b, family), protocol)) as connection:
        asked = {"client": Judged(a, egress={}), "server": Judged(b, ingress={})}[isolated]
        marked.build(asked, Judged(b if isolated == "client" else a), Judged(c))
        assert connection.passes(forth=True)
        assert connection.passes(forth=False)

        assert _ended(marked, lambda _: False, asked.attachment) == 1
        assert not connection.passes(forth=True, timeout=SHORTLY)
        assert not connection.passes(forth=False, timeout=SHORTLY)

        marked.build(Judged(a), Judged(b), Judged(c))
        assert _ended(marked, lambda _: True, asked.attachment) == 0
        assert connection.passes(forth=True)
        assert connection.passes(forth=False)


def test_a_connection_to_the_outside_ends(marked: Wall, pods: Pods, family: str) -> None:
    """A connection that a pod has opened to a host outside ends, whatever address the node gave it on its way."""
    a, b, c = pods
    internet = marked.rig.site.internet
    with closing(Conversation(a.pod, internet, OUTSIDE[family], "udp")) as connection:
        marked.build(Judged(a, egress={}), Judged(b), Judged(c))
        seen: set[Flow] = set()

        assert _ended(marked, _refusing(seen), a) == 1
        assert {Flow(ip_address(getattr(a, family)), ip_address(OUTSIDE[family]), socket.IPPROTO_UDP, PORT)} == set(
            seen
        )
        assert not connection.passes(forth=True, timeout=SHORTLY)
        assert not connection.passes(forth=False, timeout=SHORTLY)


def test_a_connection_is_judged_by_the_endpoint_of_a_service(marked: Wall, pods: Pods, family: str) -> None:
    """What a client has opened to a Service is judged as opened to the pod and the port behind it."""
    a, b, _ = pods
    word, service = {"ipv4": ("ip", "10.96.0.7"), "ipv6": ("ip6", "fd00:10:96::7")}[family]
    target = {"ipv4": f"{b.ipv4}:{PORT}", "ipv6": f"[{b.ipv6}]:{PORT}"}[family]
    marked.rig.host.nft(
        f"""table inet proxy {{
            chain before {{
                type nat hook prerouting priority dstnat;
                {word} daddr {service} udp dport 53 dnat {word} to {target}
            }}
        }}"""
    )
    seen: set[Flow] = set()
    with (
        a.pod.socket(socket.AF_INET6 if family == "ipv6" else socket.AF_INET, socket.SOCK_DGRAM) as client,
        b.pod.socket(socket.AF_INET6 if family == "ipv6" else socket.AF_INET, socket.SOCK_DGRAM) as server,
    ):
        server.bind(("", PORT))
        server.settimeout(_PATIENTLY)
        client.sendto(b"?", (service, 53))
        assert server.recv(100)

        assert _ended(marked, _refusing(seen), b) == 1
    flow = Flow(ip_address(getattr(a, family)), ip_address(getattr(b, family)), socket.IPPROTO_UDP, PORT)
    assert {flow} == seen


def test_other_connections_and_other_bits_are_left_alone(marked: Wall, pods: Pods, family: str) -> None:
    """Only connections of the addresses get the bit, and what other programs have written into the mark stays."""
    a, b, c = pods
    marked.build(Judged(a), Judged(b), Judged(c))
    marked.rig.host.nft(
        "table inet marks { chain marking { type filter hook forward priority -5; ct mark set ct mark or 0x5; }; }"
    )
    address = getattr(c, family)
    with (
        closing(Conversation(a.pod, c.pod, address, "udp")) as ended,
        closing(Conversation(b.pod, c.pod, address, "tcp")) as other,
    ):
        assert ended.passes(forth=False)
        for allowed, mark in ((False, 0x80000005), (True, 0x5), (False, 0x80000005)):
            _ended(marked, lambda _, allowed=allowed: allowed, a)  # type: ignore[misc]
            assert f"mark={mark}" in marked.rig.host.command("conntrack", "-L", "-f", family, "-p", "udp")
        assert not ended.passes(forth=True, timeout=SHORTLY)
        assert other.passes(forth=True)
        assert "ended" in marked.counted()


def test_an_ended_connection_begins_again_when_it_is_forgotten(marked: Wall, pods: Pods, family: str) -> None:
    """A client that opens another connection is judged by the new rules, not by the bit."""
    a, b, c = pods
    address = getattr(b, family)
    with closing(Conversation(a.pod, b.pod, address, "tcp")):
        marked.build(Judged(a), Judged(b, ingress={}), Judged(c))
        assert _ended(marked, lambda _: False, b) == 1
    marked.build(Judged(a), Judged(b, ingress=everybody(a)), Judged(c))
    marked.rig.host.command("conntrack", "-D", "-f", family, "-p", "tcp", check=False)
    with closing(Conversation(a.pod, b.pod, address, "tcp")) as another:
        assert another.passes(forth=True)
