"""What a clusterset of a hundred members costs each of them: bytes, memory, processor time, and delay of a change."""

import asyncio
import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from multiprocessing.connection import Connection
from pathlib import Path

from bench.figures import percentile, table
from bench.sections import Extent, Results
from slash80.cluster.objects.endpointslice import Endpoint
from slash80.cluster.objects.ports import Port
from slash80.clusterset import identity, wire
from slash80.clusterset.deadlines import Deadlines
from slash80.clusterset.feed import Feed
from slash80.clusterset.follower import Home
from slash80.clusterset.followers import Followers
from slash80.clusterset.identity import Identity
from slash80.clusterset.records import Export, Name, Slice
from slash80.clusterset.requests import Exchange
from slash80.clusterset.server import Server
from slash80.settings.clusterset import Clusterset, Member

MEMBERS, SERVICES, ENDPOINTS, NAMESPACES = 100, 1000, 10, 10
_IDLE = 45.0  # seconds: three answers without a change
_ONE_WAY = 0.025  # seconds; there and back it is twice that
_CHANGES = 50
_CHANGED = Name("namespace-0", "service-0")


def clusterset(_extent: Extent, _folder: Path, _results: Results) -> Iterator[str]:
    """Measure the exchange as one of the members sees it."""
    yield f"\n## Clusterset\n\n{MEMBERS} members, each exports {SERVICES} Services with {ENDPOINTS} endpoints; a tenth"
    yield "of their namespaces is at the importer. The others are threads of one more process on this machine.\n"
    full, changed = _sizes()
    with _Child(_serve) as others:
        memory, seconds, cpu, serving = _import(others)
    took = _latency()
    late = MEMBERS - 1
    yield from table(
        ["", "", ""],
        [
            ["full answer", "kB", full / 1e3],
            ["answer with one change", "B", changed],
            ["first answers of all members", "s", seconds],
            ["importer's memory, RSS before and with all exports", "MiB", f"{memory[0]:.0f}, {memory[1]:.0f}"],
            ["the same at its peak", "MiB", memory[2]],
            ["idle: asking all members", "% of a core", cpu],
            ["idle: being asked by all", "% of a core", serving],
            [f"a change at {late} importers, {2e3 * _ONE_WAY:.0f} ms there and back, p50", "ms", percentile(took, 0.5)],
            ["the same, p99", "ms", percentile(took, 0.99)],
        ],
    )


def _exports(version: int = 0) -> dict[Name, Export]:
    """Return what a member exports; of one Service the age is the version."""
    found, chance = {}, random.Random(1)
    for number in range(SERVICES):
        name = Name(f"namespace-{number % NAMESPACES}", f"service-{number}")
        addresses = (IPv6Address((0x20010DB8 << 96) + chance.getrandbits(48)) for _ in range(ENDPOINTS))
        one = Slice(6, (Port("http", "TCP", 8080),), tuple(map(Endpoint, addresses)))
        age = 2_000_000_000 + (version if name == _CHANGED else 0)
        found[name] = Export(name, age, (6,), (Port("http", "TCP", 80),), slices=(one,))
    return found


def _sizes() -> tuple[int, int]:
    feed = Feed("e", encode=wire.encode)
    feed.publish(_exports())
    full = feed.answer("", 0)
    feed.publish(_exports(1))
    changed = feed.answer("e:1", 0)
    assert full and changed  # noqa: PT018 -- it has published
    return len(full.body), len(changed.body)


@dataclass(frozen=True)
class _Entry:
    """A member of the file, as processes tell each other."""

    id: str
    der: bytes
    port: int

    def member(self) -> Member:
        """Return it. Its prefix is that of all, whose exports are the same: the file is not checked as a whole."""
        values: dict[str, object] = {
            "id": self.id,
            "prefixes": ["2001:db8::/32"],
            "since": "2026-11-27",
            "namespaces": ["*"],
        }
        values |= {"certificates": [self.der], "at": [f"127.0.0.1:{self.port}"]}
        return Member.model_validate(values)


def _file(*entries: _Entry) -> Clusterset:
    return Clusterset.model_construct(name="bench", members=tuple(one.member() for one in entries))


class _Child:
    """A process with a pipe to it."""

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, end = spawn.Pipe()
        self._process = spawn.Process(target=work, args=(end, *arguments), daemon=True)

    def __enter__(self) -> Connection:
        self._process.start()
        return self.pipe

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection) -> None:
    """Be all other members: servers with one feed. Answer each message with the processor time so far."""
    feed = Feed("e", encode=wire.encode)
    feed.publish(_exports())
    identities = [identity.create() for _ in range(MEMBERS - 1)]
    asking = _Entry("asking", pipe.recv(), 1)
    deadlines, entries = Deadlines(), []
    deadlines.start()
    for number, one in enumerate(identities):
        listed = _file(asking, _Entry(f"m{number}", one.der, 1))
        server = _server(one, listed, feed, deadlines)
        entries.append(_Entry(f"m{number}", one.der, server.port))
    pipe.send(entries)
    while pipe.recv():
        pipe.send(time.process_time())


def _server(own: Identity, listed: Clusterset, feed: Feed, deadlines: Deadlines) -> Server:
    exchange = Exchange(feed, dict, lambda: 0.0)
    server = Server(("127.0.0.1", 0), own, lambda: listed, exchange=exchange, seen=lambda *_: None, deadlines=deadlines)
    server.start()
    return server


def _import(others: Connection) -> tuple[Sequence[float], float, float, float]:
    """Return an importer's memory, how long all answers took, and both sides' idle shares of a core."""
    with _Child(_importer) as importer:
        own = importer.recv()
        others.send(own)
        importer.send(others.recv())
        memory, seconds = importer.recv()
        shares = []
        for pipe in (others, importer):
            pipe.send(1)
            shares.append(-pipe.recv())
        time.sleep(_IDLE)
        for number, pipe in enumerate((others, importer)):
            pipe.send(1)
            shares[number] += pipe.recv()
    return memory, seconds, 100 * shares[1] / _IDLE, 100 * shares[0] / _IDLE


def _importer(pipe: Connection) -> None:
    """Follow all other members."""
    own = identity.create()
    pipe.send(own.der)
    listed = _file(_Entry("asking", own.der, 1), *pipe.recv())
    deadlines = Deadlines()
    deadlines.start()
    news = threading.Semaphore(0)
    here = frozenset({"namespace-0"})
    followers = Followers(own, lambda: listed, home=Home(lambda: here), changed=news.release, deadlines=deadlines)
    before, began = _memory("VmRSS"), time.monotonic()
    followers.follow()
    while not all(one.complete for one in followers.all.values()):
        news.acquire()
    took = time.monotonic() - began
    assert all(len(one.exports) == SERVICES // NAMESPACES for one in followers.all.values())
    pipe.send(((before, _memory("VmRSS"), _memory("VmHWM")), took))
    while pipe.recv():
        pipe.send(time.process_time())


def _memory(key: str) -> float:
    words = Path("/proc/self/status").read_text().partition(f"{key}:")[2].split()
    return int(words[0]) / 1024


def _latency() -> list[int]:
    """Return how long changes of one member take to each of the others, in milliseconds."""
    own, feed, deadlines = identity.create(), Feed("e", encode=wire.encode), Deadlines()
    feed.publish(_exports())
    deadlines.start()
    with _Child(_relay) as relay, _Child(_importers) as importers:
        entries = importers.recv()
        listed = _file(_Entry("changing", own.der, 1), *entries)
        server = _server(own, listed, feed, deadlines)
        relay.send(server.port)
        importers.send(_Entry("changing", own.der, relay.recv()))
        importers.recv()
        began = {}
        for version in range(1, _CHANGES + 1):
            began[version] = time.monotonic()
            feed.publish(_exports(version))
            time.sleep(1.0)
        importers.send(None)
        arrived: list[tuple[int, float]] = importers.recv()
        server.stop()
    deadlines.stop()
    return [round(1e3 * (moment - began[version])) for version, moment in arrived]


def _importers(pipe: Connection) -> None:
    """Be the importers of one member, and note when each change arrives; the monotonic clock is the machine's."""
    identities = {f"m{number}": identity.create() for number in range(MEMBERS - 1)}
    entries = {name: _Entry(name, one.der, 1) for name, one in identities.items()}
    pipe.send([*entries.values()])
    changing, deadlines, all_ = pipe.recv(), Deadlines(), []
    deadlines.start()
    arrived: list[tuple[int, float]] = []
    for name, one in identities.items():
        box = list[Followers]()

        def changed(box: list[Followers] = box) -> None:
            if (found := box[0].all["changing"].exports.get(_CHANGED)) and (version := found.created - 2_000_000_000):
                arrived.append((version, time.monotonic()))

        box.append(_importing(one, _file(changing, entries[name]), changed, deadlines))
        all_ += box
    for one_ in all_:
        one_.follow()
    while not all(one_.all["changing"].complete for one_ in all_):
        time.sleep(0.1)
    pipe.send(None)
    pipe.recv()
    pipe.send([*arrived])


def _importing(own: Identity, listed: Clusterset, changed: Callable[[], None], deadlines: Deadlines) -> Followers:
    here = frozenset({_CHANGED.namespace})
    return Followers(own, lambda: listed, home=Home(lambda: here), changed=changed, deadlines=deadlines)


def _relay(pipe: Connection) -> None:
    """Be the way there and back: each byte comes later by so much as it takes one way."""

    async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 16):
            asyncio.get_running_loop().call_later(_ONE_WAY, to.write, data)

    async def both(port: int, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, to = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(near, to), copy(far, back))

    async def run() -> None:
        port = pipe.recv()
        server = await asyncio.start_server(lambda near, back: both(port, near, back), "127.0.0.1", 0, backlog=256)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())
