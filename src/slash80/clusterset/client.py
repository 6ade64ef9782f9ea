"""One connection to another member's server, for one thread: what is asked, and what comes back, line by line.

Nothing is sent before the other side has shown one of the certificates that the file lists for that member. What comes
back is bounded: in time as a whole, in bytes after it was unpacked, and in the length of a line.
"""

from __future__ import annotations

import json
import socket
import ssl
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from urllib3 import HTTPResponse
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError

from slash80 import __version__
from slash80.clusterset import tls
from slash80.clusterset.deadlines import Deadlines, shut
from slash80.clusterset.feed import LINE
from slash80.errors import shown
from slash80.settings.clusterset import Place

MOST = 32 << 20  # bytes of an answer, unpacked
_NESTED = 100_000  # arrays and objects of a line: made of three bytes each, they take twenty times as much
CONNECT = 5.0  # seconds for TCP and for TLS
_CHUNK, _UNPACKED = 64 << 10, 1 << 20  # bytes read at a time, and made of them at a time
_SMALL = 1 << 20  # bytes of an answer that is read whole
_HEADERS = {"User-Agent": f"slash80/{__version__}", "Accept-Encoding": "gzip"}
_GZIP = 31  # zlib's word for a gzip wrapper around the largest window


class Unanswered(Exception):
    """A member could not be asked, or answered what none should: a sentence."""


class Client:
    """A connection that is opened once and kept. `abort` may be called by another thread at any time."""

    def __init__(self, place: Place, context: ssl.SSLContext, believed: Collection[bytes]) -> None:
        """Open nothing yet."""
        self.place, self._believed = place, believed
        self._connection = _Connection(self, context)
        self._raw: socket.socket | None = None
        self.aborted = False

    def connect(self, deadlines: Deadlines) -> None:
        """Open it; raise Unanswered."""
        self._deadlines = deadlines
        with self._translated():
            self._connection.connect()
            found = tls.shown(self._connection.sock)  # type: ignore[arg-type]  # it is a TLS socket
            if found not in self._believed:
                raise Unanswered(f"{self.place} has shown a certificate that is not listed for this member")

    def opened(self, raw: socket.socket) -> None:
        """Bound the handshake. What is kept is a second descriptor, since TLS takes the first one over."""
        self._raw = raw.dup()
        self._deadlines.set(self._raw, CONNECT)
        if self.aborted:
            shut(self._raw)

    def abort(self) -> None:
        """Break it off, also while the owning thread waits; what it asks for then and later is Unanswered."""
        self.aborted = True
        if raw := self._raw:
            shut(raw)

    def close(self) -> None:
        """Close it."""
        self._connection.close()
        if self._raw:
            self._deadlines.clear(self._raw)
            self._raw.close()

    def document(self, path: str, seconds: float) -> Any:  # noqa: ANN401 -- JSON
        """Return a small JSON document; raise Unanswered."""
        with self._translated(), self._asked(path, seconds) as response:
            body = response.read(_SMALL + 1)
            if len(body) > _SMALL:
                raise Unanswered(f"{self.place} answers {path} with more than {_SMALL} bytes")
            return json.loads(body)

    def lines(self, path: str, seconds: float) -> Iterator[tuple[Mapping[str, Any], int]]:
        """Yield the JSON objects of an answer, one a line, with their lengths; raise Unanswered, also in between."""
        with self._translated(), self._asked(path, seconds) as response:
            if response.headers.get("Content-Encoding") != "gzip":
                raise Unanswered(f"{self.place} answers, but not as a controller of slash80 does: it is not gzip")
            for line in self._split(self._unpacked(response)):
                if line.count(b"[") + line.count(b"{") > _NESTED:
                    raise Unanswered(f"{self.place} answers with a line of more than {_NESTED} arrays and objects")
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise Unanswered(f"{self.place} answers with {shown(value)} where an object should be")
                yield value, len(line)

    @contextmanager
    def _asked(self, path: str, seconds: float) -> Iterator[HTTPResponse]:
        """Ask, and leave the connection clean for the next request; it has ended where that cannot be."""
        assert self._raw  # noqa: S101 -- it is connected
        with self._deadlines.within(self._raw, seconds):
            self._connection.request("GET", path, headers=_HEADERS, preload_content=False, decode_content=False)
            response = self._connection.getresponse()
            if response.status == 503:
                raise Unanswered(f"{self.place} does not know its own exports yet")
            if response.status != 200:
                raise Unanswered(f"{self.place} answers with {response.status} {shown(response.reason)}")
            yield response

    def _unpacked(self, response: HTTPResponse) -> Iterator[bytes]:
        unpacker, total = zlib.decompressobj(wbits=_GZIP), 0
        while chunk := response.read1(_CHUNK, decode_content=False):
            while chunk:
                part = unpacker.decompress(chunk, _UNPACKED)
                chunk = unpacker.unconsumed_tail
                if (total := total + len(part)) > MOST:
                    raise Unanswered(f"{self.place} answers with more than {MOST >> 20} MiB")
                yield part
            if unpacker.unused_data:
                raise Unanswered(f"{self.place}: the answer goes on after its end")
        if not unpacker.eof:
            raise Unanswered(f"{self.place}: the answer was cut off")

    def _split(self, parts: Iterator[bytes]) -> Iterator[bytes | bytearray]:
        rest = bytearray()
        for part in parts:
            rest += part
            lines = rest.split(b"\n") if b"\n" in part else [rest]
            rest = lines.pop()
            if any(len(line) > LINE for line in (*lines, rest)):
                raise Unanswered(f"{self.place} answers with a line of more than {LINE} bytes")
            yield from lines
        if rest:
            raise Unanswered(f"{self.place}: the answer was cut off")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (HTTPError, OSError, RecursionError, ValueError, zlib.error) as error:
            raise Unanswered(f"{self.place}: {_reason(error)}") from error


class _Connection(HTTPSConnection):
    """A connection that hands its socket out before TLS begins."""

    def __init__(self, client: Client, context: ssl.SSLContext) -> None:
        self._client = client
        super().__init__(*client.place, timeout=CONNECT, ssl_context=context, assert_hostname=False)

    def _new_conn(self) -> socket.socket:
        raw = super()._new_conn()
        self._client.opened(raw)
        return raw

    def connect(self) -> None:
        super().connect()
        self.timeout = None  # from here on deadlines alone count: an answer may wait for 20 seconds


def _reason(error: Exception) -> str:
    """Return what is wrong without urllib3's objects, which it puts before its words."""
    text = str(error.args[-1] if error.args else error)
    return shown(text.rpartition(">: ")[2] or type(error).__name__).strip("'\"")
