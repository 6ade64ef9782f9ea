"""What the watches of all nodes cost a real kube-apiserver: of all Pods, of a namespace's, and of EndpointSlices."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench import cluster
from bench.figures import table
from bench.kube_server import KubeServer, kube_server
from bench.sections import Extent, Results

_PODS, _NODES, _CHANGES = 2000, (0, 100, 500), 400
_SLICES, _ENDPOINTS = 20, 100  # as many endpoints as a slice has at most
_JSON, _PROTOBUF = "application/json", "application/vnd.kubernetes.protobuf;stream=watch"
_MERGE = "application/merge-patch+json"
_WATCH = "watch=1&allowWatchBookmarks=true&timeoutSeconds=3600&resourceVersion="
_RUNNING = "fieldSelector=status.phase!%3DSucceeded%2Cstatus.phase!%3DFailed"
_PROXIED = "labelSelector=!service.kubernetes.io/headless%2C!service.kubernetes.io/service-proxy-name"
_SLICES_PATH = "/apis/discovery.k8s.io/v1/{}endpointslices"
_SETTLED = 0.5  # seconds without a byte
_TEXT = """
## Watches of many nodes

A kube-apiserver and an etcd by themselves, {pods} pods in {namespaces} namespaces, and so many watches over a
connection each. Of each kind {changes} objects are changed one by one: microseconds of the API server's CPU for each
change, and for each change and watch what this is more than without watches; bytes (of the stream, inside of TLS) for
each of these; and KiB of heap and stacks for each watch (load {load:.1f} at the start). A pod has 4 KB as JSON, and an
EndpointSlice {endpoints} endpoints. A watch of a namespace sees one change in {namespaces}, and counts like the others.
"""


@dataclass(frozen=True)
class _Kind:
    """What is watched and changed."""

    name: str
    accept: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class _Cost:
    """What changes took, all together."""

    cpu: float
    received: int
    memory: float


def fanout(_: Extent, folder: Path, __: Results) -> Iterator[str]:
    """Measure each kind of watch with several numbers of nodes."""
    yield _TEXT.format(
        pods=_PODS, namespaces=cluster.NAMESPACES, changes=_CHANGES, endpoints=_ENDPOINTS, load=os.getloadavg()[0]
    )
    tools = Path(os.environ["SLASH80_CLUSTER_TOOLS"])
    with kube_server({name: tools / name for name in ("etcd", "kube-apiserver")}, folder) as server:
        _fill(server)
        rows = [row for kind in _kinds() for row in _rows(server, kind)]
        listed = _list(server)
    yield from table(["", "watches", "CPU us a change", "us each", "bytes each", "KiB a watch"], rows)
    yield f"\nA list of the pods in pages of 250, as an agent begins: {listed * 1e6 / _PODS:.0f} us of CPU for each."


def _kinds() -> Iterator[_Kind]:
    yield _Kind("all Pods", _JSON, (f"/api/v1/pods?{_RUNNING}&{_WATCH}",))
    spaces = (f"/api/v1/namespaces/n{number}/pods" for number in range(cluster.NAMESPACES))
    yield _Kind("Pods of a namespace", _JSON, tuple(f"{path}?{_RUNNING}&{_WATCH}" for path in spaces))
    yield _Kind("EndpointSlices", _PROTOBUF, (f"{_SLICES_PATH.format('')}?{_PROXIED}&{_WATCH}",))


def _rows(server: KubeServer, kind: _Kind) -> Iterator[list[object]]:
    """Yield a row for each number of watches."""
    base = 0.0
    for watches in _NODES:
        cost = _cost(server, kind, watches)
        each = cost.cpu - base if watches else 0.0
        base = base or cost.cpu
        deliveries = _CHANGES * watches or 1
        shares = (
            [each * 1e6 / deliveries, float(cost.received / deliveries), cost.memory * 1024 / watches]
            if watches
            else [""] * 3
        )
        yield [kind.name, watches, cost.cpu * 1e6 / _CHANGES, *shares]


def _cost(server: KubeServer, kind: _Kind, watches: int) -> _Cost:
    """Change objects while so many watch."""
    version = server.request("GET", kind.paths[0].partition("?")[0] + "?limit=1")["metadata"]["resourceVersion"]
    before = server.memory()
    with _watching(server, kind, watches, version) as received:
        memory, came, cpu = server.memory() - before, received(), server.cpu()
        change = _change_slice if kind.accept == _PROTOBUF else _change_pod
        for number in range(_CHANGES):
            change(server, number)
        _settle(received)
        return _Cost(server.cpu() - cpu, received() - came, memory)


@contextmanager
def _watching(server: KubeServer, kind: _Kind, watches: int, version: str) -> Iterator[Callable[[], int]]:
    """Have so many watches in a process, and provide what asks it for the bytes that have come."""
    words = [
        sys.executable,
        "-m",
        "bench.watchers",
        kind.accept,
        str(watches),
        *(f"{path}{version}" for path in kind.paths),
    ]
    process = server.namespace.run(
        lambda: subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    )
    try:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "open\n", "the watches could not be opened"

        def received() -> int:
            assert process.stdin
            assert process.stdout
            print(file=process.stdin, flush=True)
            return int(process.stdout.readline())

        _settle(received)
        yield received
    finally:
        process.communicate()


def _settle(received: Callable[[], int]) -> None:
    """Wait until nothing more comes."""
    before, now = -1, received()
    while now != before:
        time.sleep(_SETTLED)
        before, now = now, received()


def _fill(server: KubeServer) -> None:
    """Make namespaces, pods that run, and EndpointSlices."""
    for one in cluster.namespaces():
        server.request("POST", "/api/v1/namespaces", one)
    for number in range(_PODS):
        document = cluster.document(number, at=number)
        for key in ("uid", "resourceVersion", "creationTimestamp", "ownerReferences", "managedFields", "generateName"):
            del document["metadata"][key]
        server.request("POST", f"/api/v1/namespaces/{document['metadata']['namespace']}/pods", document)
        server.request("PATCH", f"{_pod(number)}/status", {"status": document["status"]}, _MERGE)
    for number in range(_SLICES):
        server.request("POST", _SLICES_PATH.format("namespaces/n0/"), _slice(number))


def _slice(number: int) -> cluster.Document:
    endpoints = [
        {
            "addresses": [str(cluster.addresses(pod)[1])],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": f"node-{pod % 100}",
            "targetRef": {"kind": "Pod", **vars(cluster.named(pod))},
        }
        for pod in range(_ENDPOINTS)
    ]
    metadata = {"name": f"slice-{number}", "labels": {"kubernetes.io/service-name": f"s{number}"}}
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    return {"metadata": metadata, "addressType": "IPv6", "endpoints": endpoints, "ports": ports}


def _pod(number: int) -> str:
    named = cluster.named(number)
    return f"/api/v1/namespaces/{named.namespace}/pods/{named.name}"


def _change_pod(server: KubeServer, number: int) -> None:
    server.request("PATCH", _pod(number), _changed(), _MERGE)


def _change_slice(server: KubeServer, number: int) -> None:
    path = _SLICES_PATH.format("namespaces/n0/")
    server.request("PATCH", f"{path}/slice-{number % _SLICES}", _changed(), _MERGE)


_turns = count()


def _changed() -> cluster.Document:
    """Return a change that no object has seen."""
    return {"metadata": {"annotations": {"turn": str(next(_turns))}}}


def _list(server: KubeServer) -> float:
    """Return the seconds of CPU of a list in pages."""
    before, following = server.cpu(), ""
    while True:
        answer = server.request("GET", f"/api/v1/pods?{_RUNNING}&limit=250&continue={following}")
        if not (following := answer["metadata"].get("continue", "")):
            return server.cpu() - before
