"""Serves this cluster's exports to the other members, and to no one else.

A thread for each connection, since a member has one or two and there are a hundred; bounded in number by
`connection_limits`, and in time by `deadlines`, whichever way the other side dawdles. Who is believed is read from the
file's last good version at each handshake and at each request.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Hashable

from slash80.clusterset import tls
from slash80.clusterset.connection_limits import ConnectionLimits, network
from slash80.clusterset.deadlines import Deadlines, shut
from slash80.clusterset.identity import Identity
from slash80.clusterset.requests import Conversation, Exchange, Requests
from slash80.settings.clusterset import Clusterset, Member

_HANDSHAKE = 5.0  # seconds
_TIRED = 1.0  # seconds of rest where the system has no descriptor left
_log = logging.getLogger(__name__)


class Server:
    """A port on which members are answered. `seen` is called with a member's id and the address that it came from."""

    def __init__(
        self,
        address: tuple[str, int],
        identity: Identity,
        listed: Callable[[], Clusterset | None],
        *,
        exchange: Exchange,
        seen: Callable[[str, str], None],
        deadlines: Deadlines,
    ) -> None:
        """Open the port; answer when started."""
        self._identity, self._listed, self._exchange, self._seen = identity, listed, exchange, seen
        self._deadlines = deadlines
        self._limits = ConnectionLimits[ssl.SSLSocket]()
        self._context: tuple[tuple[bytes, ...], ssl.SSLContext] = ((), tls.server_context(identity, ()))
        self._bell = threading.Condition()
        self._stopped = False
        self._listener = _listener(address)
        self._thread = threading.Thread(target=self._accept, name="server", daemon=True)

    @property
    def port(self) -> int:
        """The port."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and all connections."""
        self._stopped = True
        shut(self._listener)
        self._thread.join()
        self._listener.close()
        for one in self._limits.all():
            shut(one)
        self._ring()

    def refresh(self) -> None:
        """Close at once the connections of those that are no longer listed."""
        for one in self._limits.all():
            if (der := _shown(one)) and self._member(der) is None:
                shut(one)
        self._ring()

    def _ring(self) -> None:
        self._exchange.feed.ring()
        with self._bell:
            self._bell.notify_all()

    def _others(self) -> tuple[Member, ...]:
        """Return the other members; none where this cluster is not one."""
        listed = self._listed()
        own = listed.with_certificate(self._identity.der) if listed else None
        return listed.others(own.id) if listed and own else ()

    def _member(self, der: bytes) -> Member | None:
        return next((one for one in self._others() if der in one.certificates), None)

    def _accept(self) -> None:
        while not self._stopped:
            try:
                raw, address = self._listener.accept()
            except OSError as error:
                if not self._stopped:
                    _log.warning("no connection can be accepted: %s", error)
                    self._rest(_TIRED)
                continue
            self._begin(raw, address[0])

    def _begin(self, raw: socket.socket, host: str) -> None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            one = self._believing().wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        except OSError:
            raw.close()  # it has ended already
            return
        if victim := self._limits.arrived(one, self._origin(host)):
            shut(victim)
        self._deadlines.set(one, _HANDSHAKE)
        try:
            threading.Thread(target=self._serve, args=(one, host), name=f"member at {host}", daemon=True).start()
        except RuntimeError:
            _log.warning("no thread can be started for a connection from %s; raise the pod's limit of processes", host)
            self._forget(one)

    def _believing(self) -> ssl.SSLContext:
        believed = tuple(der for member in self._others() for der in member.certificates)
        if believed != self._context[0]:
            self._context = believed, tls.server_context(self._identity, believed)
        return self._context[1]

    def _origin(self, host: str) -> Hashable:
        address = _address(host)
        for member in self._others():
            if any(address in prefix for prefix in member.prefixes):
                return member.id
        return network(address)

    def _serve(self, one: ssl.SSLSocket, host: str) -> None:
        try:
            one.do_handshake()
            der, members = tls.shown(one), self._others()
            member = next((other for other in members if der in other.certificates), None)
            if member and self._limits.proved(one, member.id, len(members)):
                self._seen(member.id, str(_address(host)))
                Requests(self._conversation(one, der))
        except (OSError, ValueError):
            pass  # a stranger, or a connection that broke off: every day's business, and there is no one to tell
        finally:
            self._forget(one)

    def _forget(self, one: ssl.SSLSocket) -> None:
        self._deadlines.clear(one)
        self._limits.left(one)
        one.close()

    def _conversation(self, one: ssl.SSLSocket, der: bytes) -> Conversation:
        return Conversation(
            one,
            self._exchange,
            listed=lambda: self._member(der) is not None,
            ended=lambda: self._stopped or self._member(der) is None,
            limit=lambda seconds: self._deadlines.set(one, seconds),
            rest=self._rest,
        )

    def _rest(self, seconds: float) -> None:
        with self._bell:
            if not self._stopped:
                self._bell.wait(seconds)


def _listener(address: tuple[str, int]) -> socket.socket:
    if ":" not in address[0]:
        return socket.create_server(address, backlog=128)
    return socket.create_server(address, family=socket.AF_INET6, backlog=128, dualstack_ipv6=address[0] == "::")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address of a socket: an IPv4 one that came to an IPv6 socket is IPv4, and a zone is left out."""
    found = ipaddress.ip_address(host.partition("%")[0])
    return found.ipv4_mapped or found if found.version == 6 else found


def _shown(one: ssl.SSLSocket) -> bytes:
    try:
        return tls.shown(one)
    except ValueError:  # its handshake is not over, and looks at the file itself
        return b""
