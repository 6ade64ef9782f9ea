"""A small Kubernetes API for tests: lists with pages, watches with bookmarks, the patches that we send, and faults."""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Document = dict[str, Any]
_NODES, _CIDRS = "/api/v1/nodes", "/apis/networking.k8s.io/v1/servicecidrs"


@dataclass
class FakeApi:
    """The objects by path and name; `faults` are statuses that the next requests get, `seen` is what was asked."""

    objects: dict[str, dict[str, Document]] = field(default_factory=lambda: {_NODES: {}, _CIDRS: {}})
    faults: list[int] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    forgotten: bool = False  # whether every version that a watch asks for is too old
    mute: set[str] = field(default_factory=set)  # requests with such a word in their line are never answered
    restricted: bool = True  # whether an admission policy keeps a token from changing labels
    cut_short: bool = False  # whether each watch ends as soon as it has said what it knows
    tls: ssl.SSLContext | None = None
    page: int = 2
    version: int = 1
    _history: list[tuple[int, str, Document]] = field(default_factory=list)
    _watchers: list[tuple[str, queue.Queue[Document | bytes]]] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _server: ThreadingHTTPServer | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _connections: list[socket.socket] = field(default_factory=list)

    def start(self) -> str:
        """Begin to serve; give the URL."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self._server.daemon_threads = True
        if self.tls:
            # the handshake belongs to the thread of each connection, not to the one that accepts
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Be gone: connections are refused, watches break off."""
        self._stopped.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._tell("", {"type": "END"})

    def put(self, path: str, document: Document) -> None:
        """Make an object, or change it, and notify the watches."""
        with self._lock:
            name, self.version = document["metadata"]["name"], self.version + 1
            document["metadata"]["resourceVersion"] = str(self.version)
            kind = "MODIFIED" if name in self.objects[path] else "ADDED"
            self.objects[path][name] = document
            self._happen(path, {"type": kind, "object": document})

    def remove(self, path: str, name: str) -> None:
        """Delete an object, and notify the watches."""
        with self._lock:
            self.version += 1
            gone = self.objects[path].pop(name)
            gone["metadata"]["resourceVersion"] = str(self.version)
            self._happen(path, {"type": "DELETED", "object": gone})

    def say(self, path: str, event: Document | bytes) -> None:
        """Send any event, or any line, to who watches a path."""
        with self._lock:
            self._tell(path, event)

    def _happen(self, path: str, event: Document) -> None:
        self._history.append((self.version, path, json.loads(json.dumps(event))))
        self._tell(path, event)

    @property
    def watched(self) -> int:
        """How many watches are open."""
        return len(self._watchers)

    def _tell(self, path: str, event: Document | bytes) -> None:
        for watched, events in self._watchers:
            if path in {"", watched}:
                events.put(event)

    def listed(self, path: str, query: dict[str, str]) -> Document:
        """Return a page of a list."""
        with self._lock:
            name = query.get("fieldSelector", "").removeprefix("metadata.name=")
            found = [one for key, one in sorted(self.objects[path].items()) if not name or key == name]
            start = int(query.get("continue", "0"))
            rest = str(start + self.page) if start + self.page < len(found) else ""
            metadata = {"resourceVersion": str(self.version), "continue": rest}
            return {"metadata": metadata, "items": found[start : start + self.page]}

    def watch(self, path: str, version: int) -> Iterator[Document | bytes]:
        """Yield what has happened since a version, and what happens from now on."""
        if self.forgotten:
            yield {"type": "ERROR", "object": {"code": 410, "message": "too old"}}
            return
        events: queue.Queue[Document | bytes] = queue.Queue()
        with self._lock:
            for happened, where, event in self._history:
                if happened > version and where == path:
                    events.put(event)
            if self.cut_short:
                events.put({"type": "END"})
            self._watchers.append((path, events))
        try:
            while isinstance(said := events.get(), bytes) or said["type"] != "END":
                yield said
        finally:
            with self._lock:
                self._watchers.remove((path, events))

    def patch(self, path: str, name: str, kind: str, *, body: Any) -> Document:  # noqa: ANN401 -- JSON
        """Change an object as the API does with the kinds of patches that we send."""
        with self._lock:
            document: Document = json.loads(json.dumps(self.objects[path][name]))
            if kind == "application/json-patch+json":
                _patch_taints(document, body)
            elif kind == "application/strategic-merge-patch+json":
                conditions = {one["type"]: one for one in document.setdefault("status", {}).get("conditions", [])}
                for one in body["status"]["conditions"]:
                    conditions[one["type"]] = conditions.get(one["type"], {}) | one
                document["status"]["conditions"] = [*conditions.values()]
            else:
                document["metadata"].setdefault("annotations", {}).update(body["metadata"]["annotations"])
            self.put(path, document)
            return document


class _Handler(BaseHTTPRequestHandler):
    """Answers for one server; `api` is set in a class of its own for each."""

    protocol_version = "HTTP/1.1"
    api: FakeApi

    def setup(self) -> None:
        self.api._connections.append(self.request)
        super().setup()

    def do_GET(self) -> None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        path = urlsplit(self.path).path
        if self._faulty():
            return
        if path not in self.api.objects:
            self._send(404, {"message": "the server could not find the requested resource"})
        elif "watch" in query:
            self._stream(path, int(query["resourceVersion"]))
        else:
            self._send(200, self.api.listed(path, query))

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._faulty():
            return
        if "labels" in (body.get("metadata", {}) if isinstance(body, dict) else {}):
            self._send(*((422, {"message": "denied by a policy"}) if self.api.restricted else (200, {})))
            return
        path, name = urlsplit(self.path).path.removesuffix("/status").rsplit("/", 1)
        self._send(200, self.api.patch(path, name, self.headers["Content-Type"], body=body))

    def _faulty(self) -> bool:
        self.api.seen.append(f"{self.command} {self.path}")
        self.api.tokens.append(self.headers.get("Authorization", ""))
        if any(word in f"{self.command} {self.path}" for word in self.api.mute):
            self.close_connection = True
            return self.api._stopped.wait()
        if not self.api.faults:
            return False
        status = self.api.faults.pop(0)  # 200: this one is answered as it should be
        if status != 200:
            self._send(status, {"message": "as the test wants it"})
        return status != 200

    def _send(self, status: int, document: Document) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        with suppress(ConnectionError):  # the client may have given up meanwhile
            self.end_headers()
            self.wfile.write(body)

    def _stream(self, path: str, version: int) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(ConnectionError):
            for event in self.api.watch(path, version):
                line = event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Log nothing."""


def _patch_taints(document: Document, operations: list[Document]) -> None:
    taints = document["spec"]["taints"]
    for operation in operations:
        _, _, _, index, *rest = operation["path"].split("/")
        if operation["op"] == "test":
            assert taints[int(index)][rest[0]] == operation["value"]
        else:
            del taints[int(index)]


def node(name: str, *, cidrs: list[str] | None = None, addresses: list[str] | None = None, **more: Any) -> Document:  # noqa: ANN401 -- JSON
    """Make a Node; `more` goes into its metadata."""
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z", **more},
        "spec": {"podCIDRs": cidrs} if cidrs else {},
        "status": {"addresses": [{"type": "InternalIP", "address": a} for a in addresses or []]},
    }
