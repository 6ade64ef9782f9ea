"""A small Kubernetes API for tests: lists with pages, watches with bookmarks, the patches that we send, and faults."""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lab.kube_writes import Refusal, Writes, place

Document = dict[str, Any]
_NODES, _CIDRS = "/api/v1/nodes", "/apis/networking.k8s.io/v1/servicecidrs"
NAMESPACES, PODS = "/api/v1/namespaces", "/api/v1/pods"
POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
_GONE = (ConnectionError, ssl.SSLEOFError)  # what it is to write to a client that has closed its connection
CONFIG_MAPS = "/api/v1/namespaces/slash80-system/configmaps"


@dataclass(frozen=True)
class _Happened:
    """An object as it was before and after a change; None where it did not exist."""

    path: str
    before: Document | None
    after: Document | None


@dataclass(eq=False)
class _Watcher:
    """A watch, for which an object that is no longer selected is deleted, and one that is from now on is added."""

    path: str
    query: dict[str, str]
    events: queue.Queue[Document | bytes] = field(default_factory=queue.Queue)

    def see(self, happened: _Happened) -> None:
        """Pass on what happened, if it is of the objects that are watched."""
        was, now = (selected(one, self.query) for one in (happened.before, happened.after))
        if happened.path != self.path or not (was or now):
            return
        kind = "MODIFIED" if was and now else "ADDED" if now else "DELETED"
        self.events.put({"type": kind, "object": happened.after or happened.before})


def selected(document: Document | None, query: dict[str, str]) -> bool:
    """Report whether there is an object and the label and field selectors of a request select it."""
    if document is None:
        return False
    labels, fields = (query.get(key, "") for key in ("labelSelector", "fieldSelector"))
    of_labels = [(document["metadata"].get("labels", {}).get(key), *rest) for key, *rest in _terms(labels)]
    of_fields = [(_field(document, key), *rest) for key, *rest in _terms(fields)]
    return all((found == value) is equal for found, equal, value in [*of_labels, *of_fields])


def _terms(selector: str) -> Iterator[tuple[str, bool, str]]:
    """Yield key, whether it must be equal, and value of `key=value,key!=value`."""
    for term in filter(None, selector.split(",")):
        key, _, value = term.partition("=")
        yield key.removesuffix("!"), not key.endswith("!"), value


def _field(document: Document, key: str) -> object:
    found: Any = document
    for part in key.split("."):
        found = found.get(part, {})
    return found


def _key(document: Document) -> str:
    """Return `namespace/name`, or the name of an object of the whole cluster."""
    metadata = document["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else str(metadata["name"])


@dataclass
class FakeApi:
    """The objects by path and `namespace/name`; `faults` are statuses of the next answers, `seen` is what was asked."""

    objects: dict[str, dict[str, Document]] = field(
        default_factory=lambda: {path: {} for path in (_NODES, _CIDRS, NAMESPACES, PODS, POLICIES, CONFIG_MAPS)}
    )
    faults: list[int] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    forgotten: bool = False  # whether every version that a watch asks for is too old
    mute: set[str] = field(default_factory=set)  # requests with such a word in their line are never answered
    forbidden: set[str] = field(default_factory=set)  # requests with such a word in their path get 403
    restricted: bool = True  # whether an admission policy keeps a token from changing labels
    cut_short: bool = False  # whether each watch ends as soon as it has said what it knows
    tls: ssl.SSLContext | None = None
    page: int = 2
    version: int = 1
    _history: list[tuple[int, _Happened]] = field(default_factory=list)
    _watchers: list[_Watcher] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _server: ThreadingHTTPServer | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _connections: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Be ready for what changes objects."""
        self.writes = Writes(self)

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
        self.cut()
        self._tell("", {"type": "END"})

    def cut(self) -> None:
        """Break off all connections."""
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def put(self, path: str, document: Document) -> None:
        """Make an object, or change it, and notify the watches."""
        with self._lock:
            name, self.version = _key(document), self.version + 1
            document["metadata"]["resourceVersion"] = str(self.version)
            before = self.objects[path].get(name)
            self.objects[path][name] = document
            self._happen(path, before, document)

    def remove(self, path: str, name: str) -> None:
        """Delete an object, and notify the watches."""
        with self._lock:
            self.version += 1
            gone = self.objects[path].pop(name)
            gone["metadata"]["resourceVersion"] = str(self.version)
            self._happen(path, gone, None)

    def say(self, path: str, event: Document | bytes) -> None:
        """Send any event, or any line, to who watches a path."""
        with self._lock:
            self._tell(path, event)

    def _happen(self, path: str, before: Document | None, after: Document | None) -> None:
        happened = _Happened(path, json.loads(json.dumps(before)), json.loads(json.dumps(after)))
        self._history.append((self.version, happened))
        for watcher in self._watchers:
            watcher.see(happened)

    @property
    def watched(self) -> int:
        """How many watches are open."""
        return len(self._watchers)

    def _tell(self, path: str, event: Document | bytes) -> None:
        for watcher in self._watchers:
            if path in {"", watcher.path}:
                watcher.events.put(event)

    def listed(self, path: str, query: dict[str, str]) -> Document | bytes:
        """Return a page of a list, or its JSON."""
        with self._lock:
            found = [one for _, one in sorted(self.objects[path].items()) if selected(one, query)]
            start = int(query.get("continue", "0"))
            rest = str(start + self.page) if start + self.page < len(found) else ""
            metadata = {"resourceVersion": str(self.version), "continue": rest}
            return {"metadata": metadata, "items": found[start : start + self.page]}

    def one(self, path: str) -> Document | None:
        """Return a single object; those of a namespace are in the list of that namespace's."""
        with self._lock:
            folder, _, name = path.rpartition("/")
            found = self.objects.get(folder, {}).values()
            where = place(path)  # in the list of all namespaces
            kept = self.objects.get(where.path, {}).get(where.key)
            return next((one for one in found if one["metadata"]["name"] == name), kept)

    def write(self, method: str, path: str, query: dict[str, str], body: Document) -> Document:
        """Create, apply or delete an object; raise Refusal."""
        with self._lock:
            if method == "POST":
                return self.writes.create(path, body, dry="dryRun" in query)
            if method == "DELETE":
                return self.writes.delete(path, body.get("preconditions", {}).get("uid", ""))
            force = query.get("force") == "true"
            return self.writes.apply(path, body, manager=query["fieldManager"], force=force)

    def watch(self, path: str, version: int, query: dict[str, str]) -> Iterator[Document | bytes]:
        """Yield what has happened since a version, and what happens from now on."""
        if self.forgotten:
            yield {"type": "ERROR", "object": {"code": 410, "message": "too old"}}
            return
        watcher = _Watcher(path, query)
        with self._lock:
            for number, happened in self._history:
                if number > version:
                    watcher.see(happened)
            if self.cut_short:
                watcher.events.put({"type": "END"})
            self._watchers.append(watcher)
        try:
            while isinstance(said := watcher.events.get(), bytes) or said["type"] != "END":
                yield said
        finally:
            with self._lock:
                self._watchers.remove(watcher)

    def patch(self, path: str, name: str, kind: str, *, body: Any) -> Document:  # noqa: ANN401 -- JSON
        """Change an object as the API does with the kinds of patches that we send."""
        with self._lock:
            where = place(f"{path}/{name}")
            path, name = (path, name) if name in self.objects.get(path, {}) else (where.path, where.key)
            document: Document = json.loads(json.dumps(self.objects[path][name]))
            if kind == "application/json-patch+json":
                _patch_taints(document, body)
            elif kind == "application/strategic-merge-patch+json":
                conditions = {one["type"]: one for one in document.setdefault("status", {}).get("conditions", [])}
                for one in body["status"]["conditions"]:
                    conditions[one["type"]] = conditions.get(one["type"], {}) | one
                document["status"]["conditions"] = [*conditions.values()]
            else:
                _merge(document, body)
                if document["metadata"]["resourceVersion"] != self.objects[path][name]["metadata"]["resourceVersion"]:
                    raise Refusal(409, "the object has been modified")
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
        if (found := self.api.one(path)) and path not in self.api.objects:
            self._send(200, found)
        elif path not in self.api.objects:
            self._send(404, {"message": "the server could not find the requested resource"})
        elif "watch" in query:
            self._stream(path, int(query["resourceVersion"]), query)
        else:
            self._send(200, self.api.listed(path, query))

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._faulty():
            return
        if self.headers["Content-Type"] == "application/apply-patch+yaml":
            self._write(body)
            return
        if "labels" in (body.get("metadata", {}) if isinstance(body, dict) else {}):
            self._send(*((422, {"message": "denied by a policy"}) if self.api.restricted else (200, {})))
            return
        path, name = urlsplit(self.path).path.removesuffix("/status").rsplit("/", 1)
        self._answer(lambda: self.api.patch(path, name, self.headers["Content-Type"], body=body))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._faulty():
            self._write(body)

    do_DELETE = do_POST  # noqa: N815 -- the base class's name

    def _write(self, body: Document) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self._answer(lambda: self.api.write(self.command, parts.path, query, body))

    def _answer(self, change: Callable[[], Document]) -> None:
        try:
            self._send(200, change())
        except Refusal as refusal:
            self._send(refusal.status, {"message": refusal.message})

    def _faulty(self) -> bool:
        self.api.seen.append(f"{self.command} {self.path}")
        self.api.tokens.append(self.headers.get("Authorization", ""))
        if any(word in f"{self.command} {self.path}" for word in self.api.mute):
            self.close_connection = True
            return self.api._stopped.wait()
        if any(word in self.path for word in self.api.forbidden):
            self._send(403, {"message": "as the test wants it"})
            return True
        if not self.api.faults:
            return False
        status = self.api.faults.pop(0)  # 200: this one is answered as it should be
        if status != 200:
            self._send(status, {"message": "as the test wants it"})
        return status != 200

    def _send(self, status: int, document: Document | bytes) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        with suppress(*_GONE):  # the client may have given up meanwhile
            self.end_headers()
            self.wfile.write(body)

    def _stream(self, path: str, version: int, query: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(*_GONE):
            for event in self.api.watch(path, version, query):
                line = event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Log nothing."""


def _merge(document: Document, body: Document) -> None:
    """Change an object as RFC 7386 says."""
    for key, value in body.items():
        if value is None:
            document.pop(key, None)
        elif isinstance(value, dict):
            _merge(document.setdefault(key, {}), value)
        else:
            document[key] = value


def _patch_taints(document: Document, operations: list[Document]) -> None:
    taints = document["spec"]["taints"]
    for operation in operations:
        _, _, _, index, *rest = operation["path"].split("/")
        if operation["op"] == "test":
            assert taints[int(index)][rest[0]] == operation["value"]
        else:
            del taints[int(index)]


def namespace(name: str, **labels: str) -> Document:
    """Make a Namespace."""
    return {"metadata": {"name": name, "labels": labels}}


def pod(name: str, namespace: str, uid: str, addresses: Iterable[object] = (), **labels: str) -> Document:
    """Make a Pod of node `a` that runs."""
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": labels},
        "spec": {"nodeName": "a", "containers": []},
        "status": {"phase": "Running", "podIPs": [{"ip": str(address)} for address in addresses]},
    }


def config_map(name: str, **data: str) -> Document:
    """Make a ConfigMap of slash80's namespace."""
    return {"metadata": {"name": name, "namespace": "slash80-system"}, "data": data}


def policy(name: str, namespace: str, **spec: Any) -> Document:  # noqa: ANN401 -- JSON
    """Make a NetworkPolicy, of all pods of its namespace unless it says otherwise."""
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"podSelector": {}} | spec}


def node(name: str, *, cidrs: list[str] | None = None, addresses: list[str] | None = None, **more: Any) -> Document:  # noqa: ANN401 -- JSON
    """Make a Node; `more` goes into its metadata."""
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z", **more},
        "spec": {"podCIDRs": cidrs} if cidrs else {},
        "status": {"addresses": [{"type": "InternalIP", "address": a} for a in addresses or []]},
    }
