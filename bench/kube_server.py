"""A real kube-apiserver with its etcd, alone in a network namespace of its own: nothing else asks it."""

import http.client
import json
import os
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import certificates
from lab.namespaces import Namespace, unique_name
from lab.waiting import wait_until

ADDRESS, PORT, TOKEN = "127.0.0.1", 6443, "bench"
_ETCD = "http://127.0.0.1:2379"
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class KubeServer:
    """One that runs; requests are made over one connection, which stays."""

    namespace: Namespace
    pid: int
    _connection: http.client.HTTPSConnection | None = None

    def request(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:  # noqa: ANN401 -- JSON
        """Return the answer; raise RuntimeError for one that is not a success."""
        return json.loads(self._answer(method, path, body, kind))

    def _answer(self, method: str, path: str, body: object = None, kind: str = "application/json") -> bytes:
        self._connection = self._connection or self.namespace.run(connected)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:500]!r}")
        return said

    def cpu(self) -> float:
        """Return the seconds of CPU that kube-apiserver has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def memory(self) -> float:
        """Return the MiB that it uses of heap and stacks, after a collection of what it does not use any more."""
        self._answer("GET", "/debug/pprof/heap?gc=1")
        figures = dict(
            line.split()
            for line in self._answer("GET", "/metrics").decode().splitlines()
            if line[0] != "#" and line.startswith("go_memstats_")
        )
        used = ("go_memstats_heap_alloc_bytes", "go_memstats_stack_inuse_bytes")
        return sum(float(figures[name]) for name in used) / 2**20

    def close(self) -> None:
        """Close the connection; the next request makes another."""
        if self._connection:
            self._connection.close()
            self._connection = None


def connected() -> http.client.HTTPSConnection:
    """Return a connection to the server of the calling thread's network namespace; its certificate is its own."""
    context = ssl._create_unverified_context()  # noqa: SLF001 -- the documented way
    connection = http.client.HTTPSConnection(ADDRESS, PORT, context=context)
    connection.connect()
    return connection


@contextmanager
def kube_server(tools: Mapping[str, Path], folder: Path) -> Iterator[KubeServer]:
    """Run one, whose tools are these; it and its files are gone afterwards."""
    certificates.make(folder, "account")
    (folder / "tokens").write_text(f"{TOKEN},bench,bench,system:masters\n")
    with ExitStack() as stack:
        namespace = Namespace.create(unique_name())
        stack.callback(namespace.delete)
        namespace.ip("link set lo up")
        stack.callback(_end, _started(namespace, folder / "etcd.log", _etcd(tools, folder)))
        log = folder / "kube-apiserver.log"
        process = _started(namespace, log, _kube_apiserver(tools, folder))
        stack.callback(_end, process)
        server = KubeServer(namespace, process.pid)
        wait_until(lambda: _ready(server, process, log), seconds=300)
        yield server
        server.close()


def _etcd(tools: Mapping[str, Path], folder: Path) -> list[str | Path]:
    urls = [f"--listen-client-urls={_ETCD}", f"--advertise-client-urls={_ETCD}"]
    return [
        tools["etcd"],
        f"--data-dir={folder / 'etcd'}",
        "--unsafe-no-fsync",
        "--listen-peer-urls=http://127.0.0.1:2380",
        *urls,
    ]


def _kube_apiserver(tools: Mapping[str, Path], folder: Path) -> list[str | Path]:
    account = [
        f"--service-account-key-file={folder / 'account.crt'}",
        f"--service-account-signing-key-file={folder / 'account.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
    ]
    return [
        tools["kube-apiserver"],
        f"--etcd-servers={_ETCD}",
        f"--cert-dir={folder / 'certificates'}",
        f"--bind-address={ADDRESS}",
        "--advertise-address=192.0.2.1",  # which has to be another host's, and is not used
        "--endpoint-reconciler-type=none",
        f"--secure-port={PORT}",
        f"--token-auth-file={folder / 'tokens'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--disable-admission-plugins=ServiceAccount",  # no controller makes the namespaces' accounts
        *account,
    ]


def _started(namespace: Namespace, log: Path, command: list[str | Path]) -> subprocess.Popen[bytes]:
    """Start a program that ends with this one, should this one be killed; prctl(2) means the thread that starts it."""
    words = ["nsenter", f"--net={namespace.path}", "setpriv", "--pdeathsig", "KILL", *map(str, command)]
    with log.open("wb") as file:
        return subprocess.Popen(words, stdout=file, stderr=file)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ready(server: KubeServer, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, f"kube-apiserver has ended: {log.read_text()[-2000:]}"
    try:
        server.request("GET", "/api/v1/namespaces/default")
    except (OSError, RuntimeError, http.client.HTTPException):
        server.close()
        return False
    return True
