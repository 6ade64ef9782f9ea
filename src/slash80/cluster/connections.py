"""HTTP connections that can be broken off while a thread waits for what comes over them."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import InsecureRequestWarning, NewConnectionError, ProtocolError

from slash80.cluster.credentials import ClientConfig, Credential


class Connections:
    """The connections to one server, for any number of threads.

    A thread that reads from a socket is woken by nothing but the socket: closing the descriptor in another thread does
    not wake it, shutdown(2) does.
    """

    def __init__(self, config: ClientConfig) -> None:
        """Open nothing yet."""
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._closed = False
        self._config = config
        self._credential, self._pool = Credential(), self._made(Credential())

    def request(self, method: str, url: str, headers: Mapping[str, str], **more: Any) -> BaseHTTPResponse:  # noqa: ANN401 -- handed on
        """Send a request and return the answer's head; its body is still to be read.

        Raise HTTPError or OSError, or CniError where there is no credential.
        """
        response = self._signed(method, url, headers=headers, more=more)
        if response.status == 401 and self._config.source:
            response.close()
            self._config.source.forget()
            response = self._signed(method, url, headers=headers, more=more)
        return response

    def _signed(
        self, method: str, url: str, *, headers: Mapping[str, str], more: Mapping[str, Any]
    ) -> BaseHTTPResponse:
        credential = self._config.current()
        sent = {**headers, "Authorization": f"Bearer {credential.token}"} if credential.token else headers
        pool = self._pool_with(credential)
        try:
            return pool.request(method, url, headers=sent, preload_content=False, retries=False, **more)
        except ProtocolError as error:
            if method != "GET" or self._closed or not isinstance(error.args[-1], ConnectionError):
                raise
            # the server has closed a kept connection at this very moment, and has not read the request
            return pool.request(method, url, headers=sent, preload_content=False, retries=False, **more)

    def _pool_with(self, credential: Credential) -> urllib3.PoolManager:
        """Return the connections, which are others when the client certificate is another one."""
        if (credential.certificate, credential.key) != (self._credential.certificate, self._credential.key):
            self._credential, self._pool = credential, self._made(credential)
        return self._pool

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

    def _made(self, credential: Credential) -> urllib3.PoolManager:
        connections, config = self, self._config

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

        manager = self._manager(
            ca_certs=str(config.authority) if config.authority else None,
            cert_file=str(credential.certificate) if credential.certificate else None,
            key_file=str(credential.key) if credential.key else None,
            server_hostname=config.tls_server_name or None,
            cert_reqs="CERT_NONE" if config.insecure else "CERT_REQUIRED",
            maxsize=4,
        )
        manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
        return manager

    def _manager(self, **options: Any) -> urllib3.PoolManager:  # noqa: ANN401 -- handed on
        if self._config.insecure:
            urllib3.disable_warnings(InsecureRequestWarning)  # the kubeconfig asks for it by name
        if not (proxy := self._config.proxy):
            return urllib3.PoolManager(**options)
        user = urllib3.util.parse_url(proxy).auth
        headers = urllib3.util.make_headers(proxy_basic_auth=user) if user else None
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
