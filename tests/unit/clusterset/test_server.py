"""Who is answered by a cluster's server, and how long anyone can hold it up."""

import json
import random
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPResponse

import pytest

from lab.waiting import wait_until
from slash80.clusterset.identity import Identity
from unit.clusterset import exchange_rig as rig
from unit.clusterset.exchange_rig import Cluster, File


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Run a cluster whose file lists it and one other member, `theirs`, and that exports a Service."""
    one = Cluster(rig.someone(1), File())
    one.file.now = rig.clusterset(rig.member("ours", 1), rig.member("theirs", 2))
    one.feed.publish(rig.exports("db"))
    with rig.running(one):
        yield one


def _connect(cluster: Cluster, own: Identity | None, *, room: int = 1 << 16) -> ssl.SSLSocket:
    context = rig.strict([cluster.identity.der], own)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    raw.connect(("127.0.0.1", cluster.server.port))
    return context.wrap_socket(raw, server_hostname="x")


def _ask(connection: ssl.SSLSocket, path: str = "/v1/exports", *lines: str) -> HTTPResponse:
    connection.sendall("\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode())
    response = HTTPResponse(connection)
    response.begin()
    return response


def _refused(connection: ssl.SSLSocket) -> bool:
    """Ask; return whether the connection ends without a byte of an answer."""
    with connection:
        try:
            connection.sendall(b"GET /v1/exports HTTP/1.1\r\n\r\n")
            return not connection.recv(1)
        except OSError:
            return True


def _ended(connection: socket.socket) -> bool:
    """Return whether a connection ends; by a reset, where the server has not read all that was sent."""
    try:
        return not connection.recv(1)
    except OSError:
        return True


def test_member_gets_exports(cluster: Cluster) -> None:
    """A listed member is answered, with how old that is, and its address is noted."""
    with _connect(cluster, rig.someone(2)) as connection:
        response = _ask(connection)
        lines = zlib.decompress(response.read(), wbits=31).splitlines()

    assert (200, "3", "gzip") == (response.status, response.headers["Age"], response.headers["Content-Encoding"])
    assert [{"epoch": "epoch", "revision": 1, "full": True}, {"end": 1}] == [json.loads(lines[n]) for n in (0, -1)]
    assert [("theirs", "127.0.0.1")] == cluster.seen


def test_age_that_is_not_known_is_a_number(cluster: Cluster) -> None:
    """An API server that never said anything makes an answer very old, and not impossible."""
    cluster.age = float("inf")
    with _connect(cluster, rig.someone(2)) as connection:
        assert "1000000000" == _ask(connection).headers["Age"]


def test_member_is_told_where_others_were_seen(cluster: Cluster) -> None:
    """Over the same connection, which is kept."""
    with _connect(cluster, rig.someone(2)) as connection:
        _ask(connection).read()
        assert {"members": {"theirs": "127.0.0.1"}} == json.loads(_ask(connection, "/v1/members").read())


@pytest.mark.parametrize("own", [rig.someone(3), None, rig.someone(1)], ids=["stranger", "no certificate", "itself"])
def test_stranger_learns_nothing(cluster: Cluster, own: Identity | None) -> None:
    """Whose certificate is not that of another member, or who has none, gets no byte."""
    assert _refused(_connect(cluster, own))
    assert [] == cluster.seen


def test_old_tls_is_refused(cluster: Cluster) -> None:
    """Version 1.2 would show certificates in the clear."""
    context = rig.strict([cluster.identity.der], rig.someone(2))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    raw = socket.create_connection(("127.0.0.1", cluster.server.port))
    with raw, pytest.raises((ssl.SSLError, ConnectionError)):  # an alert, or a reset
        context.wrap_socket(raw)


def test_cluster_that_is_not_listed_serves_no_one(cluster: Cluster) -> None:
    """Without its own certificate in the file a cluster is not a member."""
    cluster.file.now = rig.clusterset(rig.member("theirs", 2), rig.member("ours", 7))
    assert _refused(_connect(cluster, rig.someone(2)))


def test_listed_authority_cannot_make_members(cluster: Cluster, forged: tuple[Identity, Identity]) -> None:
    """If a certificate that may sign others were listed, what it has signed would still not be believed."""
    authority, leaf = forged
    cluster.file.now = rig.clusterset(rig.member("ours", 1), rig.member("theirs", 2, authority.der))

    assert not _refused(_connect(cluster, authority))
    assert _refused(_connect(cluster, leaf))


def test_two_certificates_are_believed_during_a_change(cluster: Cluster) -> None:
    """While both are listed either of them is answered, and the old one is not when it was struck."""
    old, new = rig.someone(2), rig.someone(4)
    cluster.file.now = rig.clusterset(rig.member("ours", 1), rig.member("theirs", 2, old.der, new.der))
    assert [False, False] == [_refused(_connect(cluster, one)) for one in (old, new)]

    cluster.file.now = rig.clusterset(rig.member("ours", 1), rig.member("theirs", 2, new.der))
    assert [True, False] == [_refused(_connect(cluster, one)) for one in (old, new)]


def test_struck_certificate_loses_its_connections(cluster: Cluster) -> None:
    """A member that is taken out of the file loses the connection over which it waits for an answer."""
    with _connect(cluster, rig.someone(2)) as connection:
        _ask(connection).read()
        connection.sendall(b"GET /v1/exports?since=epoch:1&wait=20 HTTP/1.1\r\n\r\n")
        cluster.file.now = rig.clusterset(rig.member("ours", 1))
        cluster.server.refresh()

        assert _ended(connection)


def test_struck_certificate_gets_no_answer_over_an_open_connection(cluster: Cluster) -> None:
    """Also before anyone says that the file has changed."""
    with _connect(cluster, rig.someone(2)) as connection:
        _ask(connection).read()
        cluster.file.now = rig.clusterset(rig.member("ours", 1))

        assert _refused(connection)


def test_what_is_not_known_yet_is_said_to_be(cluster: Cluster) -> None:
    """Before the first publication the answer is 503, not an empty list."""
    fresh = Cluster(rig.someone(1), cluster.file)
    with rig.running(fresh), _connect(fresh, rig.someone(2)) as connection:
        assert 503 == _ask(connection).status


@pytest.mark.parametrize("wait", ["", "&wait=0", "&wait=-1", "&wait=1e9", "&wait=nan", "&wait=999"])
def test_wait_that_is_no_number_of_seconds_is_none(cluster: Cluster, wait: str) -> None:
    """Such a request is answered at once."""
    with _connect(cluster, rig.someone(2)) as connection:
        assert 200 == _ask(connection, f"/v1/exports?since=epoch:1{wait}").status


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /v1/exports HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", b"405"),
        (b"GET /v1/exports HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", b"405"),
        (b"GET /v1/exports HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"405"),
        (b"GET /" + b"x" * 9000, b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000, b"431"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"Y: " + b"x" * 3000, b"431"),
        (b"\0\xff\r\n\r\n", b"400"),
    ],
)
def test_other_requests_are_refused(cluster: Cluster, request_: bytes, status: bytes) -> None:
    """Each is answered with its status, and says neither what Python this is nor what library."""
    with _connect(cluster, rig.someone(2)) as connection:
        connection.sendall(request_)
        said = connection.recv(10_000)

    assert status in said.splitlines()[0]
    assert b"Python" not in said


def test_unfinished_handshake_ends_in_five_seconds(cluster: Cluster) -> None:
    """However the time is spent: a byte now and then makes no difference."""
    with socket.create_connection(("127.0.0.1", cluster.server.port)) as raw:
        raw.sendall(b"\x16")
        wait_until(lambda: bool(cluster.deadlines._moments))
        cluster.clock.advance(5.1)

        assert _ended(raw)


def test_request_that_does_not_end_is_given_up(cluster: Cluster) -> None:
    """A member that writes a request slowly holds its thread for a minute."""
    with _connect(cluster, rig.someone(2)) as connection:
        _ask(connection).read()
        connection.sendall(b"GET /v1/exp")
        wait_until(lambda: [60.0] == [*cluster.deadlines._moments.values()])
        cluster.clock.advance(60.1)

        assert _ended(connection)


def test_answer_that_is_not_read_is_given_up(cluster: Cluster) -> None:
    """A member that does not read what it has asked for holds its thread for a minute."""
    ended, forget = threading.Event(), cluster.server._forget
    cluster.server._forget = lambda one: (forget(one), ended.set())  # type: ignore[assignment, func-returns-value]
    cluster.server._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # its connections have it too
    cluster.feed._encode = lambda _: random.Random(1).randbytes(1 << 20).hex()
    cluster.feed.publish(rig.exports("large", "larger", "largest"))
    with _connect(cluster, rig.someone(2), room=4096) as connection:
        connection.sendall(b"GET /v1/exports HTTP/1.1\r\n\r\n")
        assert connection.recv(1)
        assert not ended.is_set()
        cluster.clock.advance(60.1)
        assert ended.wait(60)


def test_member_asks_twice_a_second_at_most(cluster: Cluster) -> None:
    """What it asks for is made in a time in which no other member is answered."""
    rests: list[float] = []
    conversation = cluster.server._conversation
    cluster.server._conversation = lambda one, der: replace(  # type: ignore[method-assign]
        conversation(one, der), now=lambda: 0.0, rest=rests.append
    )
    with _connect(cluster, rig.someone(2)) as connection:
        for _ in range(4):
            _ask(connection).read()
        wait_until(lambda: len(rests) == 4)

    assert [0.5] * 4 == rests


def test_member_has_a_share_of_the_connections(cluster: Cluster) -> None:
    """One member has four, the fifth is closed, and another member is answered meanwhile."""
    cluster.file.now = rig.clusterset(*(rig.member(f"m{number}", number) for number in (1, 2, 3)))
    taken = [_connect(cluster, rig.someone(2)) for _ in range(4)]
    assert [200] * 4 == [_ask(one).status for one in taken]

    assert _refused(_connect(cluster, rig.someone(2)))
    assert not _refused(_connect(cluster, rig.someone(3)))
    for one in taken:
        one.close()
