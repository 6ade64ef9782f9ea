"""Packets that are under way in the moments in which the policies' table is put in place, changed and taken away."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

import pytest

from lab.namespaces import Namespace
from lab.policies import Judged, Wall, everybody, rules
from lab.rig import Attachment
from netns.policies.conftest import Pods
from slash80.firewall.policies.table import PolicyTable
from slash80.policy.diff import diff
from slash80.policy.records import ACCEPT, PolicyRules

PORT, TIMES = 9, 25
_COUNTING = "table inet counting {{ chain counting {{ type filter hook {hook} priority 300; udp dport 9 counter; }}; }}"
_QUEUED = 40_000  # bytes that a sender has under way at most, or the kernel's queue of a busy processor drops some


def _counted(pod: Namespace) -> int:
    found = re.search(r"packets (\d+)", pod.command("nft", "list", "table", "inet", "counting"))
    assert found
    return int(found[1])


@dataclass
class Flood:
    """Packets from one pod to another, of which each is judged as the first of its connection: there is no answer."""

    sender: Attachment
    receiver: Attachment
    address: str
    ended: threading.Event = field(default_factory=threading.Event)
    sent: int = 0
    arrived: int = 0

    def _send(self) -> None:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with self.sender.pod.socket(family, socket.SOCK_DGRAM) as sending:
            sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _QUEUED)
            while not self.ended.is_set():
                for _ in range(100):
                    sending.sendto(b"?", (self.address, PORT))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send meanwhile, and count afterwards what has arrived."""
        thread = threading.Thread(target=self._send)
        with self.receiver.pod.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
            bound.bind(("::", PORT))  # or the node is told that nothing is there
            for pod, hook in ((self.sender.pod, "output"), (self.receiver.pod, "input")):
                pod.nft(_COUNTING.format(hook=hook))
            thread.start()
            try:
                yield
            finally:
                self.ended.set()
                thread.join()
        self.sent, self.arrived = _counted(self.sender.pod), _counted(self.receiver.pod)
        assert self.sent > TIMES


Change = Callable[[PolicyTable, PolicyRules, PolicyRules], None]


def _replace(table: PolicyTable, one: PolicyRules, other: PolicyRules) -> None:
    for wanted in (one, other):
        table.replace(wanted)
        table.sweep()


def _change(table: PolicyTable, one: PolicyRules, other: PolicyRules) -> None:
    for before, wanted in ((other, one), (one, other)):
        table.apply(diff(before, wanted))
        table.sweep()


def _mark(table: PolicyTable, _: PolicyRules, other: PolicyRules) -> None:
    with closing(PolicyTable(7)) as marked:
        for one in (marked, table):
            one.replace(other)
            one.sweep()


def _begin(table: PolicyTable, _: PolicyRules, other: PolicyRules) -> None:
    """Take the table away, and put it in place as with a first policy: until pods are known all is accepted."""
    table.remove()
    with closing(PolicyTable()) as first:
        first.replace(replace(other, sets={}, chains={}, verdicts=dict.fromkeys(other.verdicts, ACCEPT)))
    table.replace(other)


CHANGES: dict[str, Change] = {"replaced": _replace, "changed": _change, "marked": _mark, "begun": _begin}


def _states(pods: Pods) -> tuple[PolicyRules, PolicyRules]:
    """Return two states, both of which let the first pod reach the second, and not the third one."""
    a, b, c = pods
    one = rules(Judged(a), Judged(b, ingress=everybody(a)), Judged(c))
    return one, rules(
        Judged(a, egress=everybody(b)), Judged(b, ingress=everybody(a, b)), Judged(c, egress=everybody(a))
    )


@pytest.mark.parametrize("change", CHANGES)
def test_no_packet_is_lost_that_both_states_allow(wall: Wall, pods: Pods, family: str, change: str) -> None:
    """Whatever is done to the table while packets are in its rules."""
    one, other = _states(pods)
    flood = Flood(pods.a, pods.b, getattr(pods.b, family))
    wall.run(lambda: wall.table.replace(other))
    with flood.running():
        for _ in range(TIMES):
            wall.run(lambda: CHANGES[change](wall.table, one, other))
    assert (flood.sent, 0) == (flood.arrived, flood.sent - flood.arrived)


@pytest.mark.parametrize("change", [change for change in CHANGES if change != "begun"])
def test_no_packet_passes_that_both_states_forbid(wall: Wall, pods: Pods, family: str, change: str) -> None:
    """Neither finds a packet a chain that has no rules yet, nor a table that is not there for a moment."""
    one, other = _states(pods)
    flood = Flood(pods.c, pods.b, getattr(pods.b, family))
    wall.run(lambda: wall.table.replace(other))
    with flood.running():
        for _ in range(TIMES):
            wall.run(lambda: CHANGES[change](wall.table, one, other))
    assert flood.arrived == 0
