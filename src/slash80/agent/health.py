"""The agent's answers to the kubelet's probes, on loopback only: a node's address is public."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_STALE = 60.0  # seconds without a look at everything after which the controller counts as stuck
_WAIT = 5.0  # seconds for a request to come in


class Health:
    """`/healthz` says whether the controller still moves, `/readyz` whether pods can be attached."""

    def __init__(self, address: tuple[str, int]) -> None:
        """Listen when started."""
        self._address = address
        self._beaten, self._ready, self._problems = time.monotonic(), False, ["nothing was looked at yet"]

    def start(self) -> int:
        """Begin to answer, in a thread, and give the port; raise OSError when the address is taken."""
        server = ThreadingHTTPServer(self._address, self._handler())
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        return server.server_port

    def beat(self) -> None:
        """Hear that everything was looked at."""
        self._beaten = time.monotonic()

    def ready(self, *, ready: bool, problems: list[str]) -> None:
        """Hear how things are."""
        self._ready, self._problems = ready, problems

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Give status and document for a path."""
        if path == "/healthz":
            idle = time.monotonic() - self._beaten
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
                """Say nothing: a probe comes every few seconds."""

        return Handler
