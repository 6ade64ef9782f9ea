"""Thirty pods at once that send from before they have an interface: while their policy is unknown nothing gets out."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from lab.kube import PODS as PODS_PATH
from lab.kube import POLICIES, pod, policy
from lab.namespaces import Namespace
from lab.node_agent import NodeAgent
from lab.policed import OPEN, TABLE, policed
from lab.rig import Rig
from lab.topology import INTERNET4, INTERNET6
from lab.waiting import wait_until

PODS, SENDERS = 30, 2
WATCHED, OTHERS = 4000, 4001  # ports: at the first one nothing is expected, so nothing is lost there by a full buffer
SENT = 50  # packets from a pod, of which the neighbours' protocol is a handful
# In a process of its own, from the first packet to the last one without a pause; each argument is a socket's number.
SEND = """
import os, socket, sys
port, targets = int(sys.argv[1]), sys.argv[2].split(",")
sockets = [socket.socket(fileno=int(number)) for number in sys.argv[3:]]
jobs = [(one, to) for one in sockets for to in targets if (":" in to) == (one.family == socket.AF_INET6)]
os.nice(10)
os.write(1, b".")
while True:
    for one, to in jobs:
        try:
            one.sendto(b"out", socket.MSG_DONTWAIT, (to, port))
        except OSError:
            pass
"""


@contextmanager
def sending(pods: list[Namespace], port: int, *targets: str) -> Iterator[None]:
    """Have a process send from these pods, in a tight loop and by both families, whether or not they have a link."""
    with ExitStack() as stack:
        made = [stack.enter_context(pod.socket(family, socket.SOCK_DGRAM)) for pod in pods for family in (10, 2)]
        numbers = [one.fileno() for one in made]
        arguments = [sys.executable, "-c", SEND, str(port), ",".join(targets), *map(str, numbers)]
        process = stack.enter_context(subprocess.Popen(arguments, pass_fds=numbers, stdout=subprocess.PIPE))
        stack.callback(process.kill)
        assert process.stdout
        assert process.stdout.read(1)
        yield


@contextmanager
def listening(places: list[Namespace], port: int) -> Iterator[list[socket.socket]]:
    """Listen for datagrams to a port, by both families in each place."""
    with ExitStack() as stack:
        made = [stack.enter_context(place.socket(family, socket.SOCK_DGRAM)) for place in places for family in (10, 2)]
        for one in made:
            one.settimeout(0)
            if one.family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(("", port))
        yield made


def came(listener: socket.socket) -> bool:
    """Report whether a datagram has come."""
    try:
        return bool(listener.recv(16))
    except BlockingIOError:
        return False


def sent(rig: Rig) -> list[int]:
    """Return how many packets came from each pod."""
    links = rig.host.query("-s link show")
    return [link["stats64"]["rx"]["packets"] for link in links if link["ifname"].startswith("s80")]


def names(number: int) -> str:
    """Return what a runtime says of the n-th pod."""
    return f"K8S_POD_NAMESPACE=isolated;K8S_POD_NAME=p{number};K8S_POD_UID=u{number}"


def assert_none_gets_out(rig: Rig) -> None:
    """Attach all pods while they send; the control shows that an open one among them gets packets everywhere."""
    witness = rig.in_process().attach(args=OPEN)
    pods, control = [rig.site.pod() for _ in range(PODS)], rig.site.pod()
    places, targets = [rig.site.internet, witness.pod], (INTERNET6, INTERNET4, *witness.addresses)
    with ExitStack() as stack:
        watched = stack.enter_context(listening(places, WATCHED))
        others = stack.enter_context(listening(places, OTHERS))
        for number in range(SENDERS):
            stack.enter_context(sending(pods[number::SENDERS], WATCHED, *targets))
        stack.enter_context(sending([control], OTHERS, *targets))
        with ThreadPoolExecutor(PODS + 1) as calls:
            adding = [calls.submit(rig.attach, pod, args=names(number)) for number, pod in enumerate(pods)]
            adding.append(calls.submit(rig.attach, control, args=OPEN))
            for one in adding:
                one.result()
        for listener in others:
            wait_until(partial(came, listener))
        wait_until(lambda: len(found := sent(rig)) == PODS + 2 and sorted(found)[1] > SENT)
        assert [False] * 4 == [came(one) for one in watched]


@pytest.mark.parametrize("shape", ["frozen", "served"], indirect=True)
def test_not_one_packet_gets_out(routed: Rig) -> None:
    """Neither to a host outside nor to a pod of the same node, while no controller says what applies to them."""
    assert_none_gets_out(policed(routed, "isolated"))


def test_not_one_packet_gets_out_while_the_controller_works(kubernetes: tuple[Rig, NodeAgent]) -> None:
    """Nor while each pod's own policies, which deny it everything, take the place of the closed beginning."""
    rig, agent = kubernetes
    agent.api.put(POLICIES, policy("deny", "isolated", policyTypes=["Ingress", "Egress"]))
    for number in range(PODS):
        agent.api.put(PODS_PATH, pod(f"p{number}", "isolated", f"u{number}"))
    wait_until(lambda: TABLE in rig.host.command("nft", "list", "tables"))
    assert_none_gets_out(rig)
