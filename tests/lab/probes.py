"""Honest traffic: servers that tell a client which address they saw, clients, ping, router advertisements."""

import contextlib
import json
import os
import re
import selectors
import socket
import struct
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from lab.namespaces import Namespace
from lab.waiting import PATIENCE

PORT = 7
# The kernel alone makes a connection, and sends a lost SYN again after a second, which would hide the loss: the first
# packet of a pod is not lost. An answer needs a thread of the server, for which a busy machine may take longer.
CONNECTED, ANSWERED = PATIENCE, 30 * PATIENCE
# Enough for what passes on an idle machine: who expects no answer, or asks until there is one, waits no longer.
SHORTLY = 0.3
Protocol = Literal["tcp", "udp"]
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of a literal address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@dataclass(frozen=True)
class Answer:
    """What a server said about one request."""

    source: str
    size: int


class Server:
    """Answers TCP and UDP on one port in both families with the peer's address and the size."""

    def __init__(self, namespace: Namespace, port: int = PORT) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = os.pipe()[::-1]
        self._selector.register(self._woken, selectors.EVENT_READ)
        for family in (socket.AF_INET6, socket.AF_INET):
            for kind in _KINDS.values():
                self._open(namespace, family, kind, port)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering and let go of the namespace."""
        os.write(self._wake, b".")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        os.close(self._wake)
        os.close(self._woken)

    def _open(self, namespace: Namespace, family: int, kind: int, port: int) -> None:
        opened = namespace.socket(family, kind)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        if kind == socket.SOCK_STREAM:
            opened.listen(64)
        self._selector.register(opened, selectors.EVENT_READ)

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if not isinstance(key.fileobj, socket.socket):
                    return
                with contextlib.suppress(OSError):
                    self._answer(key.fileobj)

    def _answer(self, ready: socket.socket) -> None:
        if ready.type == socket.SOCK_DGRAM:
            data, peer = ready.recvfrom(65536)
            ready.sendto(_report(peer[0], len(data)), peer)
            return
        connection, peer = ready.accept()
        with connection:
            connection.settimeout(ANSWERED)
            size = 0
            while chunk := connection.recv(65536):
                size += len(chunk)
            connection.sendall(_report(peer[0], size))


def _report(source: str, size: int) -> bytes:
    return json.dumps({"source": source, "size": size}).encode()


def ask(
    client: Namespace,
    address: str,
    protocol: Protocol = "udp",
    *,
    payload: bytes = b"?",
    port: int = PORT,
    timeout: float = ANSWERED,
) -> Answer | None:
    """Ask a server once, by one datagram or one connection; None = no answer, whatever the reason.

    A call without a timeout expects an answer; one that waits SHORTLY expects none, or is made until there is one.
    """
    with client.socket(family_of(address), _KINDS[protocol]) as asking:
        asking.settimeout(min(timeout, CONNECTED))
        try:
            asking.connect((address, port))
            asking.settimeout(timeout)
            asking.sendall(payload)
            if protocol == "tcp":
                asking.shutdown(socket.SHUT_WR)
            return Answer(**json.loads(asking.recv(4096)))
        except (OSError, json.JSONDecodeError):
            return None


def source_seen(client: Namespace, address: str, protocol: Protocol = "udp") -> str | None:
    """Ask once and give the client's address as the server saw it, None without an answer."""
    answer = ask(client, address, protocol)
    return answer.source if answer else None


def ping(
    client: Namespace,
    address: str,
    *,
    count: int = 1,
    interval: float = 0.002,
    source: str = "",
    patience: float = 5 * PATIENCE,
) -> int:
    """Send echo requests, from any of the client's addresses, and count the replies that come within a second.

    The time is that between two packets. A busy machine leaves the program itself standing for longer, so it waits on.
    """
    origin = ("-I", source) if source else ()
    said = client.command("ping", "-n", f"-c{count}", f"-i{interval}", f"-W{patience:g}", *origin, address, check=False)
    took = re.findall(r" time=([\d.]+) ms$", said, re.MULTILINE)
    return sum(float(milliseconds) <= 1000 * CONNECTED for milliseconds in took)


def is_silent(client: Namespace, address: str, *, source: str = "") -> bool:
    """Report whether an echo request gets no reply, without waiting long for it."""
    return ping(client, address, source=source, patience=1) == 0


def advertise_router(router: Namespace, link: str, source: str, *, lifetime: int = 1800) -> None:
    """Send one router advertisement to all nodes of a link, without any prefix in it."""
    index = router.run(socket.if_nametoindex, link)
    with router.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        raw.bind((source, 0, 0, index))
        raw.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime, 0, 0), ("ff02::1", 0, 0, index))
