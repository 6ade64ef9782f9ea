"""The agent's HTTP server on loopback: a thread for each connection, and of too many connections the oldest goes.

Who may connect is anyone on the node, pods with hostNetwork among them: they keep no probe of the kubelet's out.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MOST = 32  # connections, and threads
_log = logging.getLogger("slash80.http")


class LoopbackServer(ThreadingHTTPServer):
    """Serves until the process ends."""

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        """Listen; raise OSError when the address is taken."""
        super().__init__(address, handler)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, None] = {}  # in the order in which they came

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- the base class's types
        """Begin to answer a connection; one that came first is given up if there are too many."""
        oldest = None
        with self._lock:
            self._open[request] = None
            if len(self._open) > _MOST:
                oldest = next(iter(self._open))
                del self._open[oldest]
        if oldest:
            with suppress(OSError):  # it has ended meanwhile
                oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 -- the base class's type
        """End a connection."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 -- the base class's types
        """Log what went wrong in a line; one who has hung up or was given up is not worth a word."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            _log.warning("a request to %s was cut short: %s: %s", self.server_address, type(error).__name__, error)
