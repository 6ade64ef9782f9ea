"""Connections that an outside host made while it could: nothing more of them gets in once the rules forbid it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product

import pytest

from lab.namespaces import Namespace
from lab.probes import ANSWERED, family_of, ping
from lab.rig import Attachment, Rig
from lab.topology import INTERNET4, INTERNET6
from lab.waiting import PATIENCE

PORT = 4321
TRUSTED = ["2001:db8:ffff::/64", "198.51.100.0/24"]
PORTS = [f"{protocol}/{PORT}" for protocol in ("tcp", "udp")]
CLOSINGS = {
    "open becomes closed": ({"mode": "open"}, {"mode": "closed"}),
    "a prefix is struck": ({"trusted": TRUSTED}, {"trusted": []}),
    "a port of all pods is struck": ({"expose": PORTS}, {"expose": []}),
    "pods may expose no more": ({"exposeFrom": "all"}, {"exposeFrom": "none"}),
}
ASKING = {"io.kubernetes.cri.pod-annotations": {"slash80.io/expose": ", ".join(PORTS)}}
TRACKING = "table inet other { chain c { type filter hook forward priority 0; ct state invalid counter; }; }"
End = tuple[Namespace, str]


@pytest.fixture
def rig(routed: Rig) -> Rig:
    """Let pods keep their addresses in IPv4 too."""
    return routed.having(ipv4={"masquerade": False})


def ends(rig: Rig, attachment: Attachment) -> list[tuple[End, End]]:
    """Return the pod and the Internet host in each family."""
    pairs = zip(attachment.addresses, (INTERNET6, INTERNET4), strict=True)
    return [((attachment.pod, ours), (rig.site.internet, theirs)) for ours, theirs in pairs]


@dataclass(frozen=True)
class Connection:
    """Both ends of a connection, and where they are."""

    began: socket.socket
    accepted: socket.socket
    where: tuple[Namespace, Namespace]
    addresses: tuple[str, str]

    def delivers(self, words: bytes, *, back: bool = False, wanted: bool = True) -> bool:
        """Send from who began it, or back, and report whether it arrived.

        What is wanted is waited for; of anything else an echo says when it must have come.
        """
        sends, takes = (self.accepted, self.began) if back else (self.began, self.accepted)
        sends.send(words)
        if not wanted:
            ping(self.where[back], self.addresses[not back])
        takes.settimeout(ANSWERED if wanted else 0)
        try:
            return words == takes.recv(64)
        except (BlockingIOError, TimeoutError):
            return False


@contextmanager
def connected(client: End, server: End, kind: int, *, port: int = PORT) -> Iterator[Connection]:
    """Connect two hosts, each with its address, and have both say something."""
    with ExitStack() as stack:
        (here, ours), (there, theirs) = client, server
        listening, began = (stack.enter_context(one.socket(family_of(ours), kind)) for one in (there, here))
        for one in (listening, began):
            one.settimeout(ANSWERED)
        listening.bind((theirs, port))
        if kind == socket.SOCK_STREAM:
            listening.listen(1)
        began.bind((ours, 0))
        began.connect((theirs, port))
        accepted = listening
        if kind == socket.SOCK_STREAM:
            accepted = stack.enter_context(listening.accept()[0])
            for one in (began, accepted):  # or it waits for the acknowledgement of what was sent before
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            accepted.connect(began.getsockname())
        found = Connection(began, accepted, (here, there), (ours, theirs))
        assert found.delivers(b"hello")
        assert found.delivers(b"hello", back=True)
        yield found


@pytest.mark.parametrize("closing", CLOSINGS)
def test_what_was_let_in_gets_in_no_more(rig: Rig, closing: str) -> None:
    """From the moment in which the new rules are in force; the pod's own connections go on."""
    before, after = (rig.having(firewall=firewall) for firewall in CLOSINGS[closing])
    rig.host.nft(TRACKING)  # as kube-proxy and masquerading do: an open network by itself tracks nothing
    attached = before.having(runtimeConfig=ASKING).attach()
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    with ExitStack() as stack:
        theirs, ours = [], []
        for (pod, outside), kind in product(ends(rig, attached), kinds):
            theirs.append(stack.enter_context(connected(outside, pod, kind)))
            ours.append(stack.enter_context(connected(pod, outside, kind)))
        after.attach()

        assert [False] * 4 == [one.delivers(b"late", wanted=False) for one in theirs]
        assert [True] * 8 == [one.delivers(b"late", back=back) for one in ours for back in (False, True)]


@pytest.mark.parametrize("tracked", [False, True])
def test_what_was_made_in_a_gap_gets_in_no_more(rig: Rig, *, tracked: bool) -> None:
    """Nor when the pod sends first, which connection tracking would take for the beginning of a connection.

    Without the table nothing may have tracked it; or it was tracked, and its entry is gone later.
    """
    attached = rig.attach()
    with ExitStack() as stack:
        pairs = ends(rig, attached)
        ours = [stack.enter_context(connected(pod, outside, socket.SOCK_STREAM)) for pod, outside in pairs]
        rig.host.nft("flush ruleset")
        if tracked:
            rig.host.nft(TRACKING)
        assert [True] * 2 == [one.delivers(b"in the gap") for one in ours]
        theirs = [stack.enter_context(connected(outside, pod, socket.SOCK_STREAM)) for pod, outside in pairs]
        rig.attach()
        assert [True] * 4 == [one.delivers(b"after it", back=back) for one in ours for back in (False, True)]
        if tracked:
            for family in ("ipv6", "ipv4"):
                of = ("-d", getattr(attached, family), "--dport", str(PORT))
                rig.host.command("conntrack", "-D", "-f", family, "-p", "tcp", *of)
        assert [False] * 2 == [one.delivers(b"speaks first", back=True, wanted=False) for one in theirs]
        assert [False] * 2 == [one.delivers(b"late", wanted=False) for one in theirs]


FORGIVEN: dict[str, Callable[[Rig], object]] = {
    "the time is over": lambda rig: rig.host.nft("flush set inet slash80 pickup_refused"),
    "the peer is trusted": lambda rig: rig.having(firewall={"trusted": TRUSTED}).attach(),
}


@pytest.mark.parametrize("forgiven", FORGIVEN)
def test_an_honest_connection_without_entry_is_refused_for_a_time(rig: Rig, forgiven: str) -> None:
    """Connection tracking may lose a pod's own connection (`conntrack -F`); it goes on where no stranger gains."""
    attached = rig.attach()
    with ExitStack() as stack:
        ours = [stack.enter_context(connected(*pair, socket.SOCK_STREAM)) for pair in ends(rig, attached)]
        rig.host.command("conntrack", "-F")
        assert [False] * 2 == [one.delivers(b"refused", wanted=False) for one in ours]

        FORGIVEN[forgiven](rig)
        for one in ours:
            one.accepted.settimeout(60 * PATIENCE)  # until TCP sends it again
            assert b"refused" == one.accepted.recv(64)
