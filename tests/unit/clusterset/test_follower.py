"""What a cluster learns of another one over the network, and what that one can do to it."""

import json
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_network

import pytest

from lab.waiting import wait_until
from slash80.clusterset import wire
from slash80.clusterset.feed import Feed
from slash80.clusterset.follower import Follower
from slash80.clusterset.identity import Identity
from slash80.clusterset.records import Name
from slash80.settings.clusterset import Place
from unit.clusterset import exchange_rig as rig
from unit.clusterset.exchange_rig import Cluster, File

HEAD, END = b'{"epoch":"x","revision":1,"full":true}', b'{"end":0}'


@pytest.fixture
def clusters() -> Iterator[tuple[Cluster, Cluster]]:
    """Run two clusters that list each other; the second exports a Service."""
    both = Cluster(rig.someone(1), File()), Cluster(rig.someone(2), File())
    rig.pair(*both)
    both[1].feed.publish(rig.exports("db"))
    with rig.running(*both):
        yield both


def _follow(cluster: Cluster) -> Follower:
    cluster.followers.follow()
    return cluster.followers.all["theirs"]


def _names(follower: Follower) -> set[str]:
    return {name.name for name in follower.exports}


def _until(cluster: Cluster, fact: Callable[[], bool]) -> None:
    """Wait until something is so; time passes for the followers meanwhile."""

    def passes() -> bool:
        cluster.followers_clock.advance(31)
        return fact()

    wait_until(passes)


def test_exports_come_with_the_first_answer(clusters: tuple[Cluster, Cluster]) -> None:
    """Before it nothing is complete; after it all is known, and where from."""
    ours, theirs = clusters
    follower = _follow(ours)
    assert ours.news.acquire(timeout=60)
    wait_until(lambda: follower.complete)

    assert {"db"} == _names(follower)
    assert (f"127.0.0.1:{theirs.server.port}", "") == (follower.at, follower.problem)
    assert [("ours", "127.0.0.1")] == theirs.seen


def test_change_and_removal_arrive_over_the_kept_connection(clusters: tuple[Cluster, Cluster]) -> None:
    """A member is connected to once, and each change arrives at once."""
    ours, theirs = clusters
    follower = _follow(ours)
    wait_until(lambda: _names(follower) == {"db"})

    for names in ({"db", "web"}, {"web"}, set[str]()):
        theirs.feed.publish(rig.exports(*names))
        _until(ours, lambda names=names: _names(follower) == names)  # type: ignore[misc]
    assert 1 == len(theirs.seen)


def test_restarted_server_is_found_again(clusters: tuple[Cluster, Cluster]) -> None:
    """While another process does not know its exports yet, what was known stays; then all of it is replaced."""
    ours, theirs = clusters
    follower = _follow(ours)
    wait_until(lambda: follower.complete)
    port = theirs.server.port
    theirs.server.stop()
    _until(ours, lambda: bool(follower.problem))

    theirs.feed = Feed("another", encode=wire.encode)
    theirs.server = theirs.serving(port)
    theirs.server.start()
    _until(ours, lambda: "does not know its own exports yet" in follower.problem)
    assert {"db"} == _names(follower)
    theirs.feed.publish(rig.exports("web"))
    _until(ours, lambda: {"web"} == _names(follower) and not follower.problem)


def test_member_that_calls_is_called_back_at_once(clusters: tuple[Cluster, Cluster]) -> None:
    """A member that was given up shows by its connection that it is there, and no rest is waited for."""
    ours, theirs = clusters
    listed = ours.file.now
    assert listed
    ours.file.now = rig.clusterset(listed.members[0], rig.member("theirs", 2))
    follower = _follow(ours)
    wait_until(lambda: "has not been seen" in follower.problem)

    ours.file.now = rig.clusterset(listed.members[0], rig.member("theirs", 2, port=theirs.server.port))
    theirs.followers.follow()
    wait_until(lambda: follower.complete)


def test_namespace_that_comes_is_asked_for(clusters: tuple[Cluster, Cluster]) -> None:
    """Records of namespaces that are not here are dropped, and asked for when one of these comes."""
    ours, theirs = clusters
    theirs.feed.publish({one.name: one for one in (rig.export("db"), rig.export("web", "far"))})
    follower = _follow(ours)
    wait_until(lambda: follower.complete)
    assert {"db"} == _names(follower)

    ours.here.add("far")
    ours.followers.again({"far"})
    _until(ours, lambda: _names(follower) == {"db", "web"})


class _Arriving(set[str]):
    """Namespaces, each of which comes when it has been looked for."""

    def __contains__(self, name: object) -> bool:
        was = super().__contains__(name)
        self.add(str(name))
        return was


def test_namespace_that_comes_while_its_records_do_is_asked_for(clusters: tuple[Cluster, Cluster]) -> None:
    """It was too late for them, and too early to be asked for: an answer may take a quarter of a minute to come."""
    ours, theirs = clusters
    ours.here = _Arriving()
    theirs.feed.publish(rig.exports("db", "web"))
    follower = _follow(ours)

    def asked() -> bool:
        ours.followers.again(ours.here)
        return _names(follower) == {"db", "web"}

    _until(ours, asked)


def test_other_entry_in_the_file_judges_everything_again(clusters: tuple[Cluster, Cluster]) -> None:
    """When a member may export less, what it said before is asked for and judged by that."""
    ours, theirs = clusters
    follower = _follow(ours)
    wait_until(lambda: follower.complete)
    listed = ours.file.now
    assert listed
    ours.file.now = rig.clusterset(listed.members[0], listed.members[1].model_copy(update={"namespaces": ("other",)}))
    theirs.feed.publish(rig.exports("db", "web"))

    _until(ours, lambda: bool(follower.refused))
    assert set() == _names(follower)
    assert any("may not export" in sentence for sentence in follower.examples)


def test_member_that_left_is_followed_no_more(clusters: tuple[Cluster, Cluster]) -> None:
    """Its follower ends, also while it waits for an answer."""
    ours, _ = clusters
    follower = _follow(ours)
    wait_until(lambda: follower.complete)
    listed = ours.file.now
    assert listed
    ours.file.now = rig.clusterset(listed.members[0])
    ours.followers.follow()

    assert {} == ours.followers.all
    assert follower.join(60)


def test_dead_member_delays_no_one(clusters: tuple[Cluster, Cluster]) -> None:
    """One that takes connections and says nothing has its own thread."""
    ours, _ = clusters
    listed = ours.file.now
    assert listed
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = rig.member("dead", 3, port=silent.getsockname()[1])
        ours.file.now = rig.clusterset(*listed.members, dead)
        follower = _follow(ours)
        wait_until(lambda: follower.complete)
        assert not ours.followers.all["dead"].complete
        ours.followers.stop()


def test_third_member_says_where_another_is(clusters: tuple[Cluster, Cluster]) -> None:
    """A member that is not where the file says is found where another one has seen it, if that is in its prefixes."""
    ours, theirs = clusters
    listed = ours.file.now
    assert listed
    entry = rig.member("third", 3, port=theirs.server.port)
    moved: dict[str, object] = {
        "at": (Place("127.0.0.2", theirs.server.port),),
        "certificates": listed.members[1].certificates,
    }
    theirs.followers._seen |= {"third": "127.0.0.1", "no member": "127.0.0.9"}
    ours.file.now = rig.clusterset(*listed.members, entry.model_copy(update=moved))
    ours.followers.follow()
    third = ours.followers.all["third"]
    _until(ours, lambda: ["127.0.0.1"] == [*ours.followers._hints("third")] and bool(third.problem))
    assert not third.complete
    assert "no member" not in ours.followers.all["theirs"].others

    moved["prefixes"] = (ip_network("127.0.0.0/8"),)
    ours.file.now = rig.clusterset(*listed.members, entry.model_copy(update=moved))
    _until(ours, lambda: third.complete)


# What a server may do that is not ours.


@contextmanager
def _hostile(ours: Cluster, own: Identity, talk: Callable[[ssl.SSLSocket], None]) -> Iterator[Follower]:
    """Have a server of one's own making at the place of the member; give the follower that asks it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.prove_by(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    raw, _ = listener.accept()
                    with suppress(OSError), context.wrap_socket(raw, server_side=True) as connection:
                        talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        place = rig.member("theirs", 2, port=listener.getsockname()[1])
        ours.file.now = rig.clusterset(rig.member("ours", 1), place)
        try:
            yield _follow(ours)
        finally:
            ours.followers.stop()
            assert ours.followers.join(60)
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def ours() -> Iterator[Cluster]:
    """Run one cluster."""
    one = Cluster(rig.someone(1), File())
    with rig.running(one):
        yield one


def _says(
    body: bytes, head: bytes = b"Content-Encoding: gzip\r\n", length: int | None = None
) -> Callable[[ssl.SSLSocket], None]:
    def talk(connection: ssl.SSLSocket) -> None:
        connection.recv(10_000)
        size = len(body) if length is None else length
        connection.sendall(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (head, size) + body)
        if size == len(body):
            connection.recv(10_000)

    return talk


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (rig.packed([HEAD, b'{"export":' + b"[" * 50_000 + b"]" * 50_000 + b"}", END]), "RecursionError|recursion"),
        (rig.packed([HEAD, b" " * (33 << 20)]), "a line of more than|more than 32 MiB"),
        (rig.packed([HEAD, *[b'{"gone":["a","' + b"b" * 100_000 + b'"]}'] * 400]), "more than 32 MiB"),
        (rig.packed([HEAD, b'{"a":[' + b"[]," * 200_000 + b"[]]}", END]), "arrays and objects"),
        (rig.packed([HEAD, b"[]", END]), "where an object should be"),
        (rig.packed([HEAD, b"nonsense", END]), "Expecting value"),
        (rig.packed([b"9" * 5000]), "."),
        (rig.packed([HEAD, END])[:-9], "cut off"),
        (rig.packed([HEAD]), "cut off"),
        (rig.packed([HEAD, b'{"end":7}']), "says that it has 7"),
        (rig.packed([HEAD, END]) + b"more", "goes on after its end"),
        (b"no gzip at all", "incorrect header"),
        (b"", "cut off"),
    ],
)
def test_answer_that_is_none_is_a_sentence(ours: Cluster, body: bytes, sentence: str) -> None:
    """Bombs, garbage and halves of answers change nothing and are named; the follower goes on."""
    with _hostile(ours, rig.someone(2), _says(body)) as follower:
        wait_until(lambda: bool(follower.problem))

        assert {} == follower.exports
        assert not follower.complete
        with pytest.raises(AssertionError, match=sentence):
            raise AssertionError(follower.problem)


def test_answer_shorter_than_it_says_is_none(ours: Cluster) -> None:
    """A connection that ends within an answer, or an answer that is not packed, leaves all as it was."""
    body = rig.packed([HEAD, END])
    for talk in (_says(body, length=len(body) + 1), _says(body, head=b"")):
        with _hostile(ours, rig.someone(2), talk) as follower:
            wait_until(lambda follower=follower: bool(follower.problem))  # type: ignore[misc]
            assert not follower.complete
        ours.file.now = None
        ours.followers.follow()


def test_server_with_another_certificate_gets_no_byte(ours: Cluster) -> None:
    """A server that does not show the member's own certificate is not asked anything."""
    got: list[bytes] = []
    with _hostile(ours, rig.someone(3), lambda connection: got.append(connection.recv(1))) as follower:
        wait_until(lambda: "certificate verify failed" in follower.problem)
    assert set(got) <= {b""}


def test_certificate_that_a_listed_authority_has_signed_gets_no_byte(
    ours: Cluster, forged: tuple[Identity, Identity]
) -> None:
    """The chain is good, and yet it is not the certificate that is listed."""
    authority, leaf = forged
    got: list[bytes] = []
    with _hostile(ours, leaf, lambda connection: got.append(connection.recv(1))) as follower:
        listed = ours.file.now
        assert listed
        entry = listed.members[1].model_copy(update={"certificates": (authority.der,)})
        ours.file.now = rig.clusterset(listed.members[0], entry)
        _until(ours, lambda: "not listed for this member" in follower.problem)
    assert set(got) <= {b""}


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nX: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_answer_that_never_ends_is_given_up(ours: Cluster, begin: bytes) -> None:
    """However the bytes trickle in, a request is over after its time, and the member is asked again."""
    asked = threading.Semaphore(0)

    def talk(connection: ssl.SSLSocket) -> None:
        connection.recv(10_000)
        connection.sendall(begin)
        asked.release()
        connection.recv(10_000)

    with _hostile(ours, rig.someone(2), talk) as follower:
        assert asked.acquire(timeout=60)
        ours.clock.advance(200)
        wait_until(lambda: bool(follower.problem))
        _until(ours, lambda: asked.acquire(blocking=False))


def test_handshake_that_never_ends_is_given_up(ours: Cluster) -> None:
    """A place that takes the connection and says nothing is left after five seconds, and the next one is tried."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ours.file.now = rig.clusterset(rig.member("ours", 1), rig.member("theirs", 2, port=silent.getsockname()[1]))
        follower = _follow(ours)
        connection, _ = silent.accept()
        with connection:
            wait_until(lambda: bool(ours.deadlines._moments))
            ours.clock.advance(5.1)
            wait_until(lambda: bool(follower.problem))


def test_redirect_is_not_followed(ours: Cluster) -> None:
    """Whatever is not an answer is named by its status."""

    def talk(connection: ssl.SSLSocket) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
        connection.recv(1)

    with _hostile(ours, rig.someone(2), talk) as follower:
        wait_until(lambda: "answers with 302" in follower.problem)


def test_hundred_members_are_followed() -> None:
    """Each has its own connection and its own exports."""
    ours = Cluster(rig.someone(1), File())
    theirs = [Cluster(rig.someone(number), File()) for number in range(100, 199)]
    entries = [
        rig.member(f"m{number}", 100 + number, one.identity.der, port=one.server.port)
        for number, one in enumerate(theirs)
    ]
    ours.file.now = rig.clusterset(rig.member("ours", 1), *entries)
    for number, one in enumerate(theirs):
        one.file.now = rig.clusterset(rig.member("ours", 1), entries[number])
        one.feed.publish(rig.exports(f"db{number}"))
    with rig.running(ours, *theirs):
        ours.followers.follow()
        wait_until(lambda: all(one.complete for one in ours.followers.all.values()))
        found = {name: [*one.exports] for name, one in ours.followers.all.items()}
    assert {f"m{number}": [Name(rig.SHOP, f"db{number}")] for number in range(99)} == found


def test_packed_bodies_are_what_a_feed_sends() -> None:
    """The hostile server's packing is the one of answers that are believed."""
    assert [HEAD, END] == zlib.decompress(rig.packed([HEAD, END]), wbits=31).splitlines()
    assert json.loads(END) == {"end": 0}
