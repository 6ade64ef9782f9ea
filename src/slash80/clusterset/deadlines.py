"""Until when something has to be over, however it spends its time: by a thread that shuts sockets down.

A socket's own timeout counts from each byte, so who sends one now and then holds a thread for ever.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from slash80.cluster.clock import Clock, SystemClock


class Deadlines:
    """Deadlines of sockets; a socket has one at a time. A thread that waits for a socket is woken by its shutdown."""

    def __init__(self, clock: Clock[threading.Condition] | None = None) -> None:
        """Begin when started."""
        self._clock = clock or SystemClock()
        self._moments: dict[socket.socket, float] = {}
        self._bell = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        with self._bell:
            self._stopped = True
            self._bell.notify_all()
        self._thread.join()

    def set(self, one: socket.socket, seconds: float) -> None:
        """Shut a socket down in so many seconds, unless another deadline is set before."""
        moment = self._clock.now() + seconds
        with self._bell:
            earliest = min(self._moments.values(), default=float("inf"))
            self._moments[one] = moment
            if moment < earliest:
                self._bell.notify_all()

    def clear(self, one: socket.socket) -> None:
        """Forget a socket."""
        with self._bell:
            self._moments.pop(one, None)

    @contextmanager
    def within(self, one: socket.socket, seconds: float) -> Iterator[None]:
        """Have the block end in time, if all that it waits for is this socket."""
        self.set(one, seconds)
        try:
            yield
        finally:
            self.clear(one)

    def _run(self) -> None:
        with self._bell:
            while not self._stopped:
                now = self._clock.now()
                for one in [one for one, moment in self._moments.items() if moment <= now]:
                    del self._moments[one]
                    shut(one)
                rest = min(self._moments.values(), default=now + 60.0) - now
                self._clock.wait(self._bell, rest)


def shut(one: socket.socket) -> None:
    """Wake whatever waits for a socket; it gets an end of file or an error."""
    with suppress(OSError):  # the other side was faster
        # not SSLSocket's own shutdown, which takes the TLS state away from under the thread that reads
        socket.socket.shutdown(one, socket.SHUT_RDWR)
