"""Clusters that exchange their exports over loopback: identities, the file, a server and followers of each."""

import ssl
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from slash80.cluster.objects.ports import Port
from slash80.clusterset import identity, wire
from slash80.clusterset.deadlines import Deadlines
from slash80.clusterset.feed import Feed
from slash80.clusterset.follower import Home
from slash80.clusterset.followers import Followers
from slash80.clusterset.identity import Identity
from slash80.clusterset.records import Export, Name
from slash80.clusterset.requests import Exchange
from slash80.clusterset.server import Server
from slash80.settings.clusterset import Clusterset, Member
from unit.clocks import ManualClock

SHOP = "shop"


@cache
def someone(number: int) -> Identity:
    """Return an identity, the same for the same number."""
    assert number >= 0
    return identity.create()


def export(name: str = "db", namespace: str = SHOP, created: int = 2_000_000_000) -> Export:
    """Return an export without endpoints."""
    return Export(Name(namespace, name), created, (6,), (Port("", "TCP", 80),))


def exports(*names: str) -> dict[Name, Export]:
    """Return exports by name."""
    return {one.name: one for one in map(export, names)}


def member(name: str, number: int, *certificates: bytes, port: int = 0, prefix: str = "") -> Member:
    """Return an entry of the file."""
    checked = Member.model_validate(
        {
            "id": name,
            "prefixes": [prefix or f"2001:db8:{number:x}::/48"],
            "certificates": [someone(number).der],
            "at": [f"127.0.0.1:{port}"] if port else [],
            "since": "2026-11-27",
            "namespaces": ["*"],
        }
    )
    return checked.model_copy(update={"certificates": certificates}) if certificates else checked  # also an authority's


def clusterset(*members: Member) -> Clusterset:
    """Return the file, whose check of the whole is left out: a test may list what it would refuse."""
    return Clusterset.model_construct(name="set", members=members)


@dataclass
class File:
    """The file in force."""

    now: Clusterset | None = None

    def __call__(self) -> Clusterset | None:
        """Return it."""
        return self.now


@dataclass
class Cluster:
    """One cluster's part of the exchange. Its deadlines pass when the test says so."""

    identity: Identity
    file: File
    here: set[str] = field(default_factory=lambda: {SHOP})

    def __post_init__(self) -> None:
        """Begin with nothing published."""
        self.clock = ManualClock()
        self.news = threading.Semaphore(0)
        self.seen: list[tuple[str, str]] = []
        self.age = 3.5
        self.deadlines = Deadlines(self.clock)
        self.feed = Feed("epoch", encode=wire.encode)
        self.followers_clock = ManualClock()
        self.followers = Followers(
            self.identity,
            self.file,
            home=Home(lambda: self.here),
            changed=self.news.release,
            deadlines=self.deadlines,
            clock=self.followers_clock,
        )
        self.server = self.serving()

    def serving(self, port: int = 0) -> Server:
        """Return a server of it."""
        exchange = Exchange(self.feed, self.followers.places, lambda: self.age)
        return Server(
            ("127.0.0.1", port), self.identity, self.file, exchange=exchange, seen=self._note, deadlines=self.deadlines
        )

    def _note(self, name: str, address: str) -> None:
        self.seen.append((name, address))
        self.followers.seen(name, address)


@contextmanager
def running(*clusters: Cluster) -> Iterator[None]:
    """Have the servers answer meanwhile."""
    for one in clusters:
        one.deadlines.start()
        one.server.start()
    try:
        yield
    finally:
        for one in clusters:
            one.followers.stop()
            one.server.stop()
        for one in clusters:
            assert one.followers.join(60)
            one.deadlines.stop()


def pair(ours: Cluster, theirs: Cluster) -> None:
    """List two clusters, `ours` and `theirs`, in both of their files."""
    both = clusterset(
        member("ours", 1, ours.identity.der, port=ours.server.port),
        member("theirs", 2, theirs.identity.der, port=theirs.server.port),
    )
    ours.file.now = theirs.file.now = both


def packed(lines: Sequence[bytes]) -> bytes:
    """Return an answer's body."""
    packer = zlib.compressobj(wbits=31)
    return b"".join(packer.compress(line + b"\n") for line in lines) + packer.flush()


def strict(believed: Sequence[bytes], own: Identity | None = None) -> ssl.SSLContext:
    """Return a client's context that checks nothing but who the server is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=b"".join(believed))
    if own:
        own.prove_by(context)
    return context
