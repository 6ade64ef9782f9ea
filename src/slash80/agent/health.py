"""The agent's answers to the kubelet's probes and to Prometheus, on loopback only: a node's address is public."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

from slash80.agent.http_server import LoopbackServer
from slash80.desired.problems import Problem, sentences

_STALE = 60.0  # seconds after which a part that looks every ten seconds counts as stuck
_WAIT = 5.0  # seconds for a request to come in
_METRICS = "/metrics"


class Metrics(Protocol):
    """Answers scrapes."""

    def answer(self, accept: str) -> tuple[int, str, bytes]:
        """Return status, content type and text for what the scraper accepts."""


class Health:
    """`/healthz` says whether the controller still moves, `/readyz` whether pods can be attached."""

    def __init__(
        self, address: tuple[str, int], idle: Callable[[], float], make_metrics: Callable[[], Metrics]
    ) -> None:
        """Listen when started; `idle` returns the seconds since the part that is most behind did its work.

        What answers scrapes is made at the first one.
        """
        self._address, self._idle, self._make_metrics = address, idle, make_metrics
        self._ready = False
        self._problems: list[str] = ["nothing was looked at yet"]

    def start(self) -> int:
        """Begin to answer, in a thread, and give the port; raise OSError when the address is taken."""
        server = LoopbackServer(self._address, self._handler())
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        return server.server_port

    def ready(self, *, ready: bool, problems: Sequence[Problem]) -> None:
        """Take note of the verdict, and of what is wrong."""
        self._ready, self._problems = ready, sentences(problems)

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return status and document for a path of a probe."""
        if path == "/healthz":
            idle = self._idle()
            return (200 if idle < _STALE else 503), {"secondsSinceLook": round(idle, 1)}
        if path == "/readyz":
            return (200 if self._ready else 503), {"ready": self._ready, "problems": self._problems}
        return 404, {"paths": ["/healthz", "/readyz", _METRICS]}

    def respond(self, target: str, accept: str) -> tuple[int, str, bytes]:
        """Return status, content type and content for what a request asks for, whatever it adds to the path."""
        path = target.partition("?")[0]
        if path == _METRICS:
            return self._metrics.answer(accept)
        status, document = self.answer(path)
        return status, "application/json", json.dumps(document).encode() + b"\n"

    @cached_property
    def _metrics(self) -> Metrics:
        return self._make_metrics()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        health = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _WAIT

            def do_GET(self) -> None:
                status, content_type, content = health.respond(self.path, self.headers.get("Accept", ""))
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
                """Log nothing: a probe comes every few seconds."""

        return Handler
