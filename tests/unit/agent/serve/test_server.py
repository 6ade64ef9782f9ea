"""The server: what it makes of good and bad requests, and how it starts and stops."""

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from lab.waiting import wait_until
from slash80 import ipc
from slash80.agent.serve.server import Reply, Server, _Watchdog


class Calls:
    """Answers every call with its standard input, once `gate` is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.came = threading.Semaphore(0)
        self.failed: list[OSError] = []
        self.threads: set[int] = set()
        self.inheritable: list[bool] = []

    def handle(self, environ: Mapping[str, str], stdin: BinaryIO, reply: Reply, *, sandbox: int | None) -> None:
        """Do a call."""
        self.threads.add(threading.get_ident())
        self.came.release()
        if sandbox is not None:
            self.inheritable.append(os.get_inheritable(sandbox))
        self.gate.wait()
        try:
            reply(0, stdin.read() + environ["CNI_X"].encode() + (b"" if sandbox is None else b" with sandbox"))
        except OSError as error:
            self.failed.append(error)
            raise


@pytest.fixture
def calls() -> Calls:
    """Return the calls."""
    return Calls()


@pytest.fixture
def server(tmp_path: Path, calls: Calls) -> Iterator["Running"]:
    """Provide a server that runs."""
    server = Running(tmp_path, calls)
    yield server
    calls.gate.set()
    server.stop()


class Running(Server):
    """A server that works in a thread of this process."""

    def __init__(self, folder: Path, calls: Calls) -> None:
        super().__init__(folder, calls.handle)
        self.open()
        self.publish()
        self._thread = threading.Thread(target=self.work)
        before = _takers()
        self._thread.start()
        wait_until(lambda: _takers() > before)  # or it would be closed before it has begun, as no agent's is

    def stop(self) -> None:
        """Close it, and wait until every call is answered; closing it twice is fine."""
        if self._thread.is_alive():
            self.close()
            self._thread.join()


def _takers() -> int:
    return sum(thread.name == "calls" for thread in threading.enumerate())


def connected(folder: Path) -> socket.socket:
    """Connect as a launcher does."""
    caller = socket.socket(socket.AF_UNIX)
    caller.settimeout(100)
    try:
        caller.connect(str(folder / ipc.SOCKET_NAME))
    except OSError:
        caller.close()
        raise
    return caller


def asked(folder: Path, request: bytes, descriptors: tuple[int, ...] = ()) -> bytes:
    """Send a request and return the answer."""
    with connected(folder) as caller:
        socket.send_fds(caller, [request[:1]], descriptors)
        caller.sendall(request[1:])
        caller.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: caller.recv(100), b""))


REQUEST = ipc.write({"CNI_X": "x"}, b"in")


def test_call_gets_exit_code_and_output(server: Running, tmp_path: Path) -> None:
    """A call gets the exit code and what the handler wrote, and the handler gets the descriptor."""
    with Path("/dev/null").open() as file:
        assert b"\0inx with sandbox" == asked(tmp_path, REQUEST, (file.fileno(),))
    assert b"\0inx" == asked(tmp_path, REQUEST)


def test_a_received_namespace_is_not_inherited_by_programs(server: Running, calls: Calls, tmp_path: Path) -> None:
    """The nft of another thread would hold the namespace of a pod, and with it the links in there, for as long."""
    with Path("/dev/null").open() as file:
        asked(tmp_path, REQUEST, (file.fileno(),))

    assert [False] == calls.inheritable


def test_socket_is_accessible_for_root_only(server: Running, tmp_path: Path) -> None:
    """The socket has mode 0600, and no other file is left in its directory."""
    assert [(ipc.SOCKET_NAME, 0o600)] == [(p.name, p.stat().st_mode & 0o777) for p in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("request_bytes", "count", "words"),
    [
        (b"hello", 0, b"begins with"),
        (b"slash80/1\0CNI_A=1", 0, b"does not end"),
        (REQUEST, 2, b"more descriptors"),
        (REQUEST, 9, b"more descriptors"),
        (REQUEST + bytes(5 << 20), 0, b"has more than"),
    ],
)
def test_bad_request_gets_code_4(
    server: Running, tmp_path: Path, request_bytes: bytes, count: int, words: bytes
) -> None:
    """A malformed request gets an error document with code 4, and the thread takes the next call."""
    with Path("/dev/null").open() as file:
        try:
            answer = asked(tmp_path, request_bytes, (file.fileno(),) * count)
        except (BrokenPipeError, ConnectionResetError):  # it did not wait for the end of what is too long
            answer = b'\1"code": 4' + words
    assert answer.startswith(b"\1")
    assert b'"code": 4' in answer
    assert words in answer
    assert b"\0inx" == asked(tmp_path, REQUEST)


def test_handler_learns_that_the_caller_hung_up(server: Running, calls: Calls, tmp_path: Path) -> None:
    """A handler learns that its answer was not delivered, so that an ADD can be rolled back."""
    calls.gate.clear()
    with connected(tmp_path) as caller:
        caller.sendall(REQUEST)
        caller.shutdown(socket.SHUT_WR)
        calls.came.acquire()
    calls.gate.set()
    server.stop()

    assert [BrokenPipeError] == [type(error) for error in calls.failed]


def test_stop_answers_waiting_calls(server: Running, calls: Calls, tmp_path: Path) -> None:
    """Calls that are waiting for a thread are answered; later ones are refused at once."""
    calls.gate.clear()
    with ThreadPoolExecutor(41) as pool:
        waiting = [pool.submit(asked, tmp_path, REQUEST) for _ in range(40)]
        for _ in range(4):
            calls.came.acquire()
        late = connected(tmp_path)
        stopping = pool.submit(server.stop)
        while (tmp_path / ipc.SOCKET_NAME).exists():
            threading.Event().wait(0.001)
        with pytest.raises(FileNotFoundError):
            connected(tmp_path)
        with late:
            late.sendall(REQUEST)
            late.shutdown(socket.SHUT_WR)
            calls.gate.set()
            stopping.result()
            assert [b"\0inx"] * 40 == [call.result() for call in waiting]
            assert b"\0inx" == late.recv(100)


def test_a_caller_right_before_the_end_is_answered(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that connects after a process found no caller waiting, and before the server closes, is answered."""
    server = Server(tmp_path, calls.handle)
    server.open()
    server.publish()

    def nobody_waits(_: socket.socket) -> tuple[socket.socket, str]:
        monkeypatch.undo()
        server.close()
        raise BlockingIOError

    with connected(tmp_path) as caller:
        caller.sendall(REQUEST)
        caller.shutdown(socket.SHUT_WR)
        monkeypatch.setattr(socket.socket, "accept", nobody_waits)
        server.work()
        assert b"\0inx" == caller.recv(100)


def test_slow_call_does_not_block_the_calls_behind_it(server: Running, calls: Calls, tmp_path: Path) -> None:
    """The calls behind a slow one are taken by another thread; when it is done, one thread is left."""
    assert b"\0inx" == asked(tmp_path, REQUEST)
    with ThreadPoolExecutor(5) as pool:
        calls.gate.clear()
        slow = [pool.submit(asked, tmp_path, REQUEST) for _ in range(5)]
        for _ in range(5):
            assert calls.came.acquire(timeout=100)
        assert _takers() >= 4  # the first came before
        calls.gate.set()
        assert b"\0inx" == asked(tmp_path, REQUEST)
        assert [b"\0inx"] * 5 == [call.result() for call in slow]
    wait_until(lambda: _takers() == 1)


WAITING = ipc.write({"CNI_X": "waits"}, b"in")


class Waits(Calls):
    """Calls of which some wait aside, until `gate` is open, if they may; `server` says so."""

    server: Server

    def handle(self, environ: Mapping[str, str], stdin: BinaryIO, reply: Reply, *, sandbox: int | None) -> None:
        """Do a call."""
        if environ["CNI_X"] != "waits":
            reply(0, b"at once")
            return
        with self.server.aside() as may_wait:
            self.came.release()
            if may_wait:
                self.gate.wait()
        reply(0, b"waited" if may_wait else b"may not wait")


@pytest.fixture
def waits(tmp_path: Path) -> Iterator[Waits]:
    """Provide a server whose calls wait."""
    waits = Waits()
    waits.gate.clear()
    waits.server = server = Running(tmp_path, waits)
    try:
        yield waits
    finally:
        waits.gate.set()
        server.stop()


def test_calls_that_wait_for_others_keep_none_from_being_answered(waits: Waits, tmp_path: Path) -> None:
    """More of them than a process has threads for calls are waiting when another one is answered."""
    with ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(asked, tmp_path, WAITING) for _ in range(40)]
        try:
            for _ in waiting:
                assert waits.came.acquire(timeout=60)
            assert b"\0at once" == asked(tmp_path, REQUEST)
            assert not any(one.done() for one in waiting)
        finally:
            waits.gate.set()
        assert [b"\0waited"] * 40 == [one.result() for one in waiting]
    wait_until(lambda: _takers() == 1)


def test_calls_that_wait_have_a_bound(waits: Waits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs a thread: one too many goes on at once, and the next one may wait when another has ended."""
    monkeypatch.setattr("slash80.agent.serve.server._ASIDE", 2)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(asked, tmp_path, WAITING) for _ in range(2)]
        try:
            for _ in waiting:
                assert waits.came.acquire(timeout=60)
            assert b"\0may not wait" == asked(tmp_path, WAITING)
        finally:
            waits.gate.set()
        assert [b"\0waited"] * 2 == [one.result() for one in waiting]
    assert b"\0waited" == asked(tmp_path, WAITING)


@pytest.fixture
def no_call_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no call count as slow, as one would that a busy machine leaves standing for a tenth of a second."""
    monkeypatch.setattr(_Watchdog, "watch", lambda watchdog: wait_until(lambda: watchdog.expired))


@pytest.mark.usefixtures("no_call_is_slow")
def test_successive_calls_are_served_by_one_thread(server: Running, calls: Calls, tmp_path: Path) -> None:
    """Calls one after another are served by the same thread, whose caches are warm."""
    for _ in range(20):
        assert b"\0inx" == asked(tmp_path, REQUEST)
    assert 1 == len(calls.threads)


def test_stop_leaves_the_socket_of_another_agent(server: Running, calls: Calls, tmp_path: Path) -> None:
    """A server that stops removes only its own socket, not that of an agent that replaced it."""
    other = Running(tmp_path, calls)
    server.stop()

    assert b"\0inx" == asked(tmp_path, REQUEST)
    other.stop()
