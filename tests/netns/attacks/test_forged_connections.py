"""A pod forges packets of connections that are not its own, whose addresses and ports it knows or guesses.

Connection tracking knows a connection by these alone, so a forged packet belongs to the established connection.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

from lab import forgery
from lab.forgery import Endpoint
from lab.namespaces import Namespace
from lab.probes import ANSWERED, family_of, is_silent, ping
from lab.rig import Attachment, Rig
from lab.topology import INTERNET4, INTERNET6

DNS = 53
FORGED = b"forged"


@dataclass(frozen=True)
class Query:
    """An honest query to a host on the Internet: both sockets, their addresses, and the pod that forges."""

    asking: socket.socket
    asks: Endpoint
    answering: socket.socket
    answers: Endpoint
    forger: Namespace


def answer(query: Query) -> None:
    """Answer in the name of the Internet host."""
    forgery.send(query.forger, forgery.datagram(query.answers, query.asks, FORGED))


def ask(query: Query) -> None:
    """Ask the Internet host in the name of who asked it."""
    forgery.send(query.forger, forgery.datagram(query.asks, query.answers, FORGED))


def refuse(query: Query) -> None:
    """Report to the asking side that nothing listens on the Internet host."""
    asked = forgery.datagram(query.asks, query.answers, b"query")
    forgery.send(query.forger, forgery.port_unreachable(query.answers[0], asked))


FORGERIES: tuple[Callable[[Query], None], ...] = (answer, ask, refuse)


@contextmanager
def queried(rig: Rig, asker: Namespace, asks: str, forger: Attachment) -> Iterator[Query]:
    """Ask the Internet host, and have the question arrive."""
    answers = INTERNET6 if ":" in asks else INTERNET4
    family = family_of(answers)
    with (
        rig.site.internet.socket(family, socket.SOCK_DGRAM) as answering,
        asker.socket(family, socket.SOCK_DGRAM) as asking,
    ):
        for one in (answering, asking):
            one.settimeout(ANSWERED)
        answering.bind((answers, DNS))
        asking.bind((asks, 0))
        asking.connect((answers, DNS))  # as a resolver does, to be told of errors
        asking.send(b"query")
        assert b"query" == answering.recv(64)
        yield Query(asking, asking.getsockname()[:2], answering, (answers, DNS), forger.pod)


def harmed(query: Query, forge: Callable[[Query], None]) -> bool:
    """Forge before the first answer and after it; report whether anything but what is honest arrived anywhere."""
    try:
        for turn in (b"one", b"two"):
            forge(query)
            ping(query.forger, query.answers[0])  # what was sent before it has arrived by now, or was dropped
            query.answering.sendto(turn, query.asks)
            if turn != query.asking.recv(64):
                return True
            query.asking.send(turn)
            if turn != query.answering.recv(64):
                return True
    except ConnectionRefusedError:
        return True
    return False


def test_a_pod_has_no_part_in_the_connections_of_others(routed: Rig, family: str) -> None:
    """It can answer or break off neither another pod's query nor the node's, and send to the Internet in no other name.

    The honest questions and answers still arrive.
    """
    rig = routed.having(ipv4={"masquerade": False})
    pod, forger = rig.attach(), rig.attach()
    victims = {"pod": (pod.pod, getattr(pod, family)), "node": (rig.host, getattr(rig.node, family))}
    harm = []
    for (name, (asker, asks)), forge in product(victims.items(), FORGERIES):
        with queried(rig, asker, asks, forger) as query:
            if harmed(query, forge):
                harm.append(f"{name}: {forge.__doc__}")

    assert [] == harm


def test_a_forged_packet_does_not_touch_connection_tracking(routed: Rig, family: str) -> None:
    """A forged RST would end a connection there, so that its honest packets would belong to none."""
    rig = routed.having(ipv4={"masquerade": False})
    pod, forger = rig.attach(), rig.attach()
    with queried(rig, pod.pod, getattr(pod, family), forger) as query:
        answer(query)
        ping(query.forger, query.answers[0])

        listed = rig.host.command("conntrack", "-L", "-p", "udp", "-f", family).splitlines()
        (ours,) = (line for line in listed if f"sport={query.asks[1]} " in line)
        assert "[UNREPLIED]" in ours


def test_a_pod_forwards_what_the_node_routes_to_it(routed: Rig) -> None:
    """A VPN's clients or nested containers send from addresses of their own; root on the node decides which."""
    pod = routed.attach()
    pod.pod.ip("addr add 10.99.0.5/32 dev lo")
    assert is_silent(pod.pod, routed.node.ipv4, source="10.99.0.5")

    routed.host.ip(f"route add 10.99.0.0/24 dev {pod.host_ifname}")
    assert 1 == ping(pod.pod, routed.node.ipv4, source="10.99.0.5")
