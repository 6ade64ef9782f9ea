"""The agent's answers to the kubelet's probes, on loopback only: a node's address is public."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from slash80.desired.problems import Problem, sentences

_STALE = 60.0  # seconds after which a part that looks every ten seconds counts as stuck
_WAIT = 5.0  # seconds for a request to come in


class Health:
    """`/healthz` says whether the controller still moves, `/readyz` whether pods can be attached."""

    def __init__(self, address: tuple[str, int], idle: Callable[[], float]) -> None:
        """Listen when started; `idle` returns the seconds since the part that is most behind did its work."""
        self._address, self._idle = address, idle
        self._ready = False
        self._problems: list[str] = ["nothing was looked at yet"]

    def start(self) -> int:
        """Begin to answer, in a thread, and give the port; raise OSError when the address is taken."""
        server = ThreadingHTTPServer(self._address, self._handler())
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        return server.server_port

    def ready(self, *, ready: bool, problems: Sequence[Problem]) -> None:
        """Take note of the verdict, and of what is wrong."""
        self._ready, self._problems = ready, sentences(problems)

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return status and document for a path."""
        if path == "/healthz":
            idle = self._idle()
            return (200 if idle < _STALE else 503), {"secondsSinceLook": round(idle, 1)}
        if path == "/readyz":
            return (200 if self._ready else 503), {"ready": self._ready, "problems": self._problems}
        return 404, {"paths": ["/healthz", "/readyz"]}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        health = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _WAIT

            def do_GET(self) -> None:
                status, document = health.answer(self.path)
                body = json.dumps(document).encode() + b"\n"
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
                """Log nothing: a probe comes every few seconds."""

        return Handler
