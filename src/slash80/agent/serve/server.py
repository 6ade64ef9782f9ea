"""The server of CNI calls: a Unix socket for root, and one process or more that take a call at a time."""

from __future__ import annotations

import array
import io
import json
import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from slash80 import ipc
from slash80.agent.published_socket import PublishedSocket
from slash80.agent.serve import heap
from slash80.cni.document import INPUT_BYTES

Reply = Callable[[int, bytes], None]


class Handle(Protocol):
    """Does one call and replies once; `sandbox` is the descriptor of CNI_NETNS, which stays the server's."""

    def __call__(self, environ: Mapping[str, str], stdin: BinaryIO, reply: Reply, *, sandbox: int | None) -> None:
        """Do the call."""


_LONG = 0.1  # seconds after which a call is no longer waited for by those behind it
_THREADS = 16  # of a process at most, of which all but one are at calls that take long; and those that wait aside:
_ASIDE = 64  # of a process; each has its sockets and 100 KiB
_SECONDS = 10.0  # for a request to come in whole, or an answer to be taken: the launcher has all of it at hand
_REQUEST_BYTES = len(ipc.MAGIC) + ipc.ENVIRONMENT_BYTES + INPUT_BYTES + 2
_CHUNK = 1 << 16
_CREDENTIALS = struct.Struct("=iII")  # struct ucred of unix(7): pid, uid, gid
_DESCRIPTORS = socket.CMSG_SPACE(4 * 4)  # room for a few, so that those too many are seen and closed
_BACKING_OFF = 0.1
_log = logging.getLogger(__name__)


class Server:
    """Answers calls at a path; `handle` gets variables, standard input, a reply, and the descriptor of CNI_NETNS.

    The path appears when all is ready and goes when the server stops; a launcher that does not find it, or finds one
    that a killed agent left, runs the engine.
    """

    def __init__(self, folder: Path, handle: Handle, *, prepare: Callable[[], None] = lambda: None) -> None:
        """Name the folder of the socket; nothing is opened yet. Each thread that takes calls prepares itself first."""
        self._handle, self._prepare = handle, prepare
        self._socket, self._ended = PublishedSocket(folder / ipc.SOCKET_NAME), threading.Event()
        self._watchdogs, self._waiting = _Watchdogs(), _Waiting()

    def open(self) -> None:
        """Listen, under a name that no launcher knows yet. Raise OSError when that cannot be."""
        self._socket.open(ipc.BACKLOG)

    def publish(self) -> None:
        """Let the path appear: from now on calls come, and wait for `work`. Raise OSError when that cannot be."""
        self._socket.publish()

    def is_published(self) -> bool:
        """Report whether launchers find it."""
        return self._socket.is_published()

    def close(self) -> None:
        """Let no further calls come, in whatever process they are answered; those that came are still."""
        self._socket.close()

    @contextmanager
    def aside(self) -> Iterator[bool]:
        """Have another thread take the calls behind this thread's one at once, while this one waits for something.

        Those that wait have a number of their own, so they keep no other call from being answered. Say whether this
        one may wait; beyond that number it may not.
        """
        with self._waiting.one_of(_ASIDE) as may_wait:
            if may_wait and (watchdog := self._watchdogs.own):
                watchdog.end()
            yield may_wait

    def work(self) -> None:
        """Answer calls until the server was closed and no call is left.

        One after another: with several threads Python's own lock goes round so often that an ADD costs half as much
        again. Only when a call takes long, as one that waits for a lock, does another thread take those behind it.
        """
        threads: list[threading.Thread] = []
        # a duplicate, since `close` may come from a thread of this process
        with self._socket.listener.dup() as listener, select.epoll() as calls:
            listener.settimeout(0)
            # Of several processes the first one that waits gets the call, in which the last left all at hand; a plain
            # accept would wake them in turn (ep_poll_callback in fs/eventpoll.c).
            calls.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
            while not self._ended.is_set():
                threads = [thread for thread in threads if thread.is_alive()]
                if len(threads) - self._waiting.count >= _THREADS:
                    self._ended.wait(_LONG)
                    continue
                watchdog = _Watchdog()
                threads.append(threading.Thread(target=self._take, args=[listener, calls, watchdog], name="calls"))
                threads[-1].start()
                watchdog.watch()
            for thread in threads:
                thread.join()

    def _take(self, listener: socket.socket, calls: select.epoll, watchdog: _Watchdog) -> None:
        """Take calls until one took too long, or the server was closed."""
        self._watchdogs.own = watchdog
        self._prepare()
        closed = False
        while not watchdog.expired:
            try:
                calls.poll()
                connection, _ = listener.accept()
            except BlockingIOError:  # another process was faster, or no call is left
                if closed:
                    self._ended.set()
                    watchdog.end()
                # one more look: between this one and the shutdown a caller may have come, and none can after it
                closed = _is_shut_down(listener)
                continue
            except OSError as error:
                _log.warning("a call cannot be accepted: %s", error.strerror)
                time.sleep(_BACKING_OFF)  # out of descriptors or memory
                continue
            watchdog.begin()
            with connection:
                try:
                    self._serve(connection)
                except Exception as error:  # noqa: BLE001 -- the entry point: one call must not take the thread with it
                    _log.warning("a call was cut short: %s: %s", type(error).__name__, error)
            watchdog.busy = False

    def _serve(self, connection: socket.socket) -> None:
        # The kernel's own note of who called connect(), which no later owner of the socket changes (unix(7)).
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(credentials)
        if uid != os.geteuid():
            _log.warning("process %d of user %d is refused: calls are for user %d", pid, uid, os.geteuid())
            return
        connection.settimeout(_SECONDS)
        descriptors: list[int] = []
        try:
            was_large = self._answer(connection, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if was_large:  # here, where the call's own text is free as well
            heap.trim()

    def _answer(self, connection: socket.socket, descriptors: list[int]) -> bool:
        """Answer a call; return whether it may have taken much memory."""

        def reply(code: int, text: bytes) -> None:
            connection.sendall(ipc.answer(code, text))
            connection.shutdown(socket.SHUT_WR)

        try:
            environ, stdin = ipc.read(_receive(connection, descriptors))
        except ValueError as error:
            _log.warning("a call cannot be read: %s", error)
            document = {"cniVersion": "1.0.0", "code": 4, "msg": f"the agent cannot read the call: {error}"}
            reply(1, json.dumps(document).encode() + b"\n")
            return True
        self._handle(environ, io.BytesIO(stdin), reply, sandbox=descriptors[0] if descriptors else None)
        return len(stdin) > heap.LARGE


def _is_shut_down(listener: socket.socket) -> bool:
    state = select.poll()
    state.register(listener, select.POLLRDHUP)
    return bool(state.poll(0))


class _Watchdog:
    """Watches the thread that takes the calls, and expires when that is found at one and the same call for too long."""

    def __init__(self) -> None:
        self.busy = self.expired = False
        self._number = 0
        self._working = threading.Event()  # set at a call, and cleared when nothing has come for a while
        self._over = threading.Event()

    def begin(self) -> None:
        """Note that a call has begun."""
        self._number += 1
        self.busy = True
        if not self._working.is_set():
            self._working.set()

    def end(self) -> None:
        """End all waiting."""
        self.expired = True
        self._over.set()
        self._working.set()

    def watch(self) -> None:
        """Wait until a call takes too long, or until the end; sleep while no call is served."""
        while not self.expired:
            self._working.wait()
            number = self._number
            self._over.wait(_LONG)
            if self.busy:
                self.expired |= number == self._number
            else:
                self._working.clear()
                if self.busy or self.expired:  # since it was looked at
                    self._working.set()


class _Watchdogs(threading.local):
    """The watchdog of each thread that takes calls."""

    own: _Watchdog | None = None


class _Waiting:
    """How many threads wait aside."""

    def __init__(self) -> None:
        self.count, self._lock = 0, threading.Lock()

    @contextmanager
    def one_of(self, most: int) -> Iterator[bool]:
        """Count this thread meanwhile, and say whether it is one of so many."""
        with self._lock:
            counted = self.count < most
            self.count += counted
        try:
            yield counted
        finally:
            with self._lock:
                self.count -= counted


def _receive(connection: socket.socket, descriptors: list[int]) -> bytes:
    """Receive a request to its end; its descriptors are the caller's to close, whatever comes of it.

    Raise ValueError when it is too long, too slow, or brings more than one descriptor.
    """
    deadline, size = time.monotonic() + _SECONDS, 0
    parts: list[bytes] = []
    while True:
        # not socket.recv_fds: up to Python 3.11 it drops the flag, and a program started then inherits the namespace
        data, messages, flags, _ = connection.recvmsg(_CHUNK, _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        for level, kind, raw in messages:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors += array.array("i", raw[: len(raw) - len(raw) % 4])
        if flags & socket.MSG_CTRUNC or len(descriptors) > 1:
            raise ValueError("it brings more descriptors than that of CNI_NETNS")
        if not data:
            return b"".join(parts)
        parts.append(data)
        size += len(data)
        if size > _REQUEST_BYTES:
            raise ValueError(f"it has more than {_REQUEST_BYTES} bytes")
        if time.monotonic() > deadline:
            raise ValueError(f"it did not end within {_SECONDS:g} s")
