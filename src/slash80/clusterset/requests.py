"""What a member may ask over a connection that has proved to be its own: two paths, by GET, one after the other."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler
from io import BufferedReader
from typing import cast
from urllib.parse import parse_qs, urlsplit

from slash80.clusterset.feed import Answer, Feed

EXPORTS, MEMBERS = "/v1/exports", "/v1/members"
_HEAD = 8192  # bytes of a request
_IDLE, _SENDING = 60.0, 60.0  # seconds for a request to come, from the last answer on, and for an answer to be taken
_OLD = 10**9  # seconds that stand for never, too
_BETWEEN = 0.1  # seconds from an answer to the next request over one connection
# And from one request to the next: no honest member asks sooner, as changes of half a second go together. An answer
# from some revision on may take 20 ms to make, in which no other member gets one.
_EACH = 0.5


@dataclass(frozen=True)
class Exchange:
    """What answers are made of; `places` is where other members were last seen, and `age` how old all this is."""

    feed: Feed
    places: Callable[[], Mapping[str, str]]
    age: Callable[[], float]


@dataclass(frozen=True)
class Conversation:
    """A connection of a member, as those who answer it see it."""

    socket: ssl.SSLSocket
    exchange: Exchange
    listed: Callable[[], bool]
    ended: Callable[[], bool]
    limit: Callable[[float], None]
    rest: Callable[[float], None]
    now: Callable[[], float] = time.monotonic


class _Head:
    """The lines of a request, which end after so many bytes."""

    def __init__(self, file: BufferedReader) -> None:
        self._file, self.left = file, _HEAD

    def readline(self, _: int = -1) -> bytes:
        """Return a line; raise LineTooLong."""
        line = self._file.readline(self.left + 1)
        self.left -= len(line)
        if self.left < 0:
            raise LineTooLong("request")
        return line

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Requests(BaseHTTPRequestHandler):
    """The requests of one connection."""

    protocol_version, default_request_version = "HTTP/1.1", "HTTP/1.0"
    error_message_format, error_content_type = "%(message)s\n", "text/plain"

    def __init__(self, conversation: Conversation) -> None:
        """Answer until the connection is over."""
        self._with = conversation
        super().__init__(conversation.socket, ("", 0), None)  # type: ignore[arg-type]  # the server is not asked anything

    def setup(self) -> None:
        """Read no more of a request than one may have."""
        super().setup()
        self._head = _Head(self.rfile)  # type: ignore[arg-type]  # it is buffered
        self.rfile = cast("BufferedReader", self._head)

    def handle_one_request(self) -> None:
        """Answer one request, in bounded time."""
        self._head.left = _HEAD
        self._with.limit(_IDLE)
        self.close_connection = True
        try:
            self.raw_requestline = self.rfile.readline()
            began = self._with.now()
            if self.raw_requestline and self.parse_request():
                self._answer()
        except LineTooLong:
            self.request_version = self.requestline = self.command = ""
            self.send_error(431)
        if not self.close_connection:
            self._with.rest(max(_BETWEEN, began + _EACH - self._with.now()))
            self.close_connection = self._with.ended()

    def _answer(self) -> None:
        path = urlsplit(self.path)
        if (
            self.command != "GET"
            or self.headers.get("Content-Length", "0") != "0"
            or "Transfer-Encoding" in self.headers
        ):
            self.close_connection = True  # what is not read would be taken for the next request
            self.send_error(405)
        elif not self._with.listed():
            self.close_connection = True
        elif path.path == EXPORTS:
            self._exports(path.query)
        elif path.path == MEMBERS:
            self._send(200, json.dumps({"members": dict(self._with.exchange.places())}).encode(), {})
        else:
            self.send_error(404)

    def _exports(self, query: str) -> None:
        asked = parse_qs(query[:200], max_num_fields=4)
        wait = asked.get("wait", ["0"])[0]
        feed, seconds = self._with.exchange.feed, int(wait) if re.fullmatch("[0-9]{1,2}", wait) else 0
        self._with.limit(seconds + _SENDING)
        answer: Answer | None = feed.answer(asked.get("since", [""])[0], seconds, self._with.ended)
        if not self._with.listed():
            self.close_connection = True
        elif answer is None:
            self._send(503, b"own exports are not known yet\n", {"Retry-After": "1"})
        else:
            self._send(
                200, answer.body, {"Content-Encoding": "gzip", "Age": str(int(min(self._with.exchange.age(), _OLD)))}
            )

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._with.limit(_SENDING)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Return a name without versions."""
        return "slash80"

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 -- the standard library's name
        """Log nothing: a member that asks is nothing new."""
