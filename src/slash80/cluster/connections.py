"""HTTP connections that can be broken off while a thread waits for what comes over them."""

from __future__ import annotations

import socket
import weakref
from contextlib import suppress
from typing import Any

import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError, ProtocolError

from slash80.cluster.credentials import ClientConfig


class Connections:
    """The connections to one server, for any number of threads.

    A thread that reads from a socket is woken by nothing but the socket: closing the descriptor in another thread does
    not wake it, shutdown(2) does.
    """

    def __init__(self, config: ClientConfig) -> None:
        """Open nothing yet."""
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._closed = False
        self._pool = self._made(config)

    def request(self, method: str, url: str, **more: Any) -> BaseHTTPResponse:  # noqa: ANN401 -- handed on
        """Send a request and return the answer's head; its body is still to be read. Raise HTTPError or OSError."""
        try:
            return self._pool.request(method, url, preload_content=False, retries=False, **more)
        except ProtocolError as error:
            if method != "GET" or self._closed or not isinstance(error.args[-1], ConnectionError):
                raise
            # the server has closed a kept connection at this very moment, and has not read the request
            return self._pool.request(method, url, preload_content=False, retries=False, **more)

    def close(self) -> None:
        """Break off everything; whatever waits raises, as does whatever is asked for later."""
        self._closed = True
        for one in [*self._sockets]:
            with suppress(OSError):
                # not SSLSocket's own shutdown, which takes the TLS state away from under the thread that reads
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def opened(self, connection: HTTPConnection) -> None:
        """Remember a socket; shut it down if it comes too late. Opening one takes five seconds at most."""
        self._sockets.add(connection.sock)
        if self._closed:
            connection.close()
            raise NewConnectionError(connection, "it was closed")

    def _made(self, config: ClientConfig) -> urllib3.PoolManager:
        connections = self

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                connections.opened(self)

        class Tls(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                connections.opened(self)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class TlsPool(HTTPSConnectionPool):
            ConnectionCls = Tls

        manager = urllib3.PoolManager(
            ca_certs=str(config.authority) if config.authority else None,
            cert_file=str(config.certificate) if config.certificate else None,
            key_file=str(config.key) if config.key else None,
            maxsize=4,
        )
        manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
        return manager
