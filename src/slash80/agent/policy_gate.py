"""Where ADDs ask for their pods' policies: each writes the name of its host end and waits for one byte.

A pod of a namespace with policies starts closed, and its ADD asks while it wires the pod. The answer says that what
applies to the pod is in force. Only how soon the pod may communicate depends on it: an ADD waits for a second at most,
and what the controller has not done by then it does later.
"""

from __future__ import annotations

import logging
import os
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from slash80.agent.published_socket import PublishedSocket
from slash80.host.policy_question import ANSWER, SOCKET_NAME

_PATIENCE = 2.0  # seconds from the connection to the answer; an ADD waits for one
_WAITERS = 256  # at once; an ADD beyond that goes on with its pod closed
_QUESTION = re.compile(rb"(s80[a-z2-7]{12})\n")
_QUESTION_BYTES = 16
_BACKING_OFF = 0.1
_log = logging.getLogger("slash80.policy")


@dataclass(frozen=True, slots=True)
class GateCounts:
    """What came of the questions since the start.

    `milliseconds` is how long the `answered` ones have waited together. In the `unanswered` the pod did not become
    known in time, or the ADD was ended. The `refused` were too many at once, or not understood.
    """

    asked: int = 0
    answered: int = 0
    unanswered: int = 0
    refused: int = 0
    milliseconds: float = 0.0


@dataclass(slots=True, eq=False)
class _Waiter:
    """An ADD that has connected; it has asked once its host end's name is there."""

    connection: socket.socket
    since: float
    text: bytes = b""
    host_ifname: str = ""
    answered: bool = False

    @property
    def is_waiting(self) -> bool:
        return bool(self.host_ifname) and not self.answered


class PolicyGate:
    """Takes questions in a thread of its own, and calls `wake` when one has come, which must not block.

    Any thread may call `pending`, `done` and `counts`. Who may ask the socket's mode says: this user alone.
    """

    def __init__(self, state_dir: Path, wake: Callable[[], None], *, patience: float = _PATIENCE) -> None:
        """Do nothing until it is started."""
        self._path, self._wake, self._patience = state_dir / SOCKET_NAME, wake, patience
        self._lock = threading.Lock()  # nothing waits while it is held
        self._waiters: dict[socket.socket, _Waiter] = {}  # in the order in which they came
        self._counts = GateCounts()
        self._thread: threading.Thread | None = None
        self._stop = -1

    def start(self) -> None:
        """Take questions from now on; raise OSError when the socket cannot be made."""
        published = PublishedSocket(self._path)
        published.open(_WAITERS)
        published.listener.settimeout(0)
        published.publish()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._work, args=[published], name="policy-gate", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more questions, and let those go on that have asked."""
        if self._thread:
            os.eventfd_write(self._stop, 1)
            self._thread.join()
            os.close(self._stop)
            self._thread = None

    def pending(self) -> list[str]:
        """Return the host ends whose ADDs wait, the one first that has waited longest."""
        with self._lock:
            waiting = [one.host_ifname for one in self._waiters.values() if one.is_waiting]
        return list(dict.fromkeys(waiting))

    def done(self, host_ifnames: Collection[str]) -> None:
        """Let the ADDs of these host ends go on: what applies to their pods is in force."""
        with self._lock:
            for one in self._waiters.values():
                if one.is_waiting and one.host_ifname in host_ifnames:
                    self._answer(one)

    def counts(self) -> GateCounts:
        """Return what came of the questions so far."""
        with self._lock:
            return self._counts

    def _answer(self, waiter: _Waiter) -> None:
        """Answer, and leave the rest to the thread, which sees the connection end."""
        try:
            waiter.connection.send(ANSWER)
            waiter.connection.shutdown(socket.SHUT_RDWR)
        except OSError:  # the ADD has gone, as the thread is about to see
            return
        waiter.answered = True
        waited = (time.monotonic() - waiter.since) * 1000
        before = self._counts
        self._counts = replace(before, answered=before.answered + 1, milliseconds=before.milliseconds + waited)

    def _work(self, published: PublishedSocket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(published.listener, selectors.EVENT_READ)
            selector.register(self._stop, selectors.EVENT_READ)
            while not self._look(selector, published.listener):
                pass
            published.close()
            for waiter in [*self._waiters.values()]:
                self._forget(selector, waiter)

    def _look(self, selector: selectors.BaseSelector, listener: socket.socket) -> bool:
        """Wait for what comes next, and report whether that is the end."""
        for key, _ in selector.select(self._time_left()):
            if key.fileobj is listener:
                self._accept(selector, listener)
            elif waiter := self._waiters.get(key.data):
                self._read(selector, waiter)
            else:
                return True
        now = time.monotonic()
        for waiter in [one for one in self._waiters.values() if now - one.since >= self._patience]:
            self._forget(selector, waiter)
        return False

    def _time_left(self) -> float | None:
        """Return in how many seconds the one that came first has waited for long enough; None without any."""
        first = next(iter(self._waiters.values()), None)
        return max(first.since + self._patience - time.monotonic(), 0) if first else None

    def _accept(self, selector: selectors.BaseSelector, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return  # it has gone again
        except OSError as error:
            _log.warning("the question of an ADD cannot be accepted: %s", error.strerror)
            time.sleep(_BACKING_OFF)  # out of descriptors or memory
            return
        if len(self._waiters) >= _WAITERS:
            connection.close()
            self._refuse("too many ADDs ask at once")
            return
        connection.settimeout(0)
        with self._lock:
            self._waiters[connection] = _Waiter(connection, time.monotonic())
        selector.register(connection, selectors.EVENT_READ, connection)

    def _read(self, selector: selectors.BaseSelector, waiter: _Waiter) -> None:
        try:
            # after the question only its end can come
            text = waiter.connection.recv(_QUESTION_BYTES + 1)
        except BlockingIOError:
            return
        except OSError:
            text = b""
        waiter.text += text
        asked = _QUESTION.fullmatch(waiter.text)
        if text and asked:
            with self._lock:
                waiter.host_ifname = asked[1].decode("ascii")
                self._counts = replace(self._counts, asked=self._counts.asked + 1)
            self._wake()
        elif not text or len(waiter.text) >= _QUESTION_BYTES:
            self._forget(selector, waiter)

    def _forget(self, selector: selectors.BaseSelector, waiter: _Waiter) -> None:
        selector.unregister(waiter.connection)
        with self._lock:
            del self._waiters[waiter.connection]
            if waiter.is_waiting:
                self._counts = replace(self._counts, unanswered=self._counts.unanswered + 1)
            waiter.connection.close()
        if not waiter.host_ifname:
            self._refuse(f"it begins with {waiter.text[:_QUESTION_BYTES]!r} instead of a host end's name")

    def _refuse(self, reason: str) -> None:
        _log.warning("the question of an ADD is not taken: %s", reason)
        with self._lock:
            self._counts = replace(self._counts, refused=self._counts.refused + 1)
