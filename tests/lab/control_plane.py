"""A real kube-apiserver with its etcd, in a network namespace of its own: for what a fake would not refuse.

There is no node and no controller, so nothing follows from an object but what the API server does by itself.
"""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import urllib3

from lab import certificates, programs
from lab.namespaces import Namespace, unique_name
from lab.waiting import PATIENCE, wait_until
from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.credentials import ClientConfig, Credential

T = TypeVar("T")
_ETCD, _PEER, _PORT = "http://127.0.0.1:2379", "http://127.0.0.1:2380", 6443
_SERVICES = "10.96.0.0/16,fd00:10:96::/112"
SERVER = f"https://127.0.0.1:{_PORT}"


class ControlPlane:
    """Runs inside the block; `tools` has etcd, kube-apiserver and kubectl, `folder` gets all that they write."""

    def __init__(self, tools: Path, folder: Path, *, services: str = _SERVICES) -> None:
        """Take note of it; nothing is made."""
        self._tools, self._folder, self.services = tools, folder, services
        self._token = secrets.token_hex(16)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.namespace = Namespace(f"{unique_name()}-control")

    def __enter__(self) -> Self:
        """Start both, and wait until the API server is ready."""
        try:
            Namespace.create(self.namespace.name)
            self.namespace.ip("link set lo up")
            self._start("etcd", *self._of_etcd())
            self._start("kube-apiserver", *self._of_api_server())
            self.admin = self.api(self._token)
            wait_until(self._ready, seconds=120)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill both, and remove the namespace."""
        self._end()

    def run(self, function: Callable[[], T]) -> T:
        """Call a function in a thread of the namespace, where the API server is reached."""
        return self.namespace.run(function)

    def api(self, token: str) -> Api:
        """Return a client with a bearer token; its requests are made by `run`."""
        return Api(ClientConfig(SERVER, authority=self.authority, credential=Credential(token)))

    def answer(self, token: str, method: str, path: str, body: object = None, *, kind: str = "json") -> tuple[int, str]:
        """Send a request with a token, and return the answer's status and what it says; `kind` is of the body."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": f"application/{kind}"}
        sent = None if body is None else json.dumps(body)

        def asked() -> tuple[int, str]:
            with urllib3.PoolManager(ca_certs=str(self.authority)) as pool:
                response = pool.request(method, f"{SERVER}{path}", body=sent, headers=headers)
                return response.status, response.data.decode()

        return self.run(asked)

    @property
    def authority(self) -> Path:
        """The certificate by which the API server is known."""
        return self._folder / "server.crt"

    def kubectl(self, *words: str | Path, stdin: str = "") -> str:
        """Run kubectl as an administrator, and return what it prints; raise ProgramFailed where it fails."""
        who = [f"--server={SERVER}", f"--certificate-authority={self.authority}", f"--token={self._token}"]
        place = [f"--cache-dir={self._folder}/kubectl", "--kubeconfig=/dev/null"]
        command = [str(self._tools / "kubectl"), *who, *place, *map(str, words)]
        return self.namespace.command(*command, stdin=stdin)

    def get(self, *words: str) -> dict[str, Any]:
        """Return what `kubectl get` shows, as a document."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def token(self, namespace: str, account: str) -> str:
        """Return a token of a service account."""
        return self.kubectl("create", "token", account, "-n", namespace).strip()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Have the API server take requests and answer none, for the time of the block."""
        self._processes[-1].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._processes[-1].send_signal(signal.SIGCONT)

    def _start(self, name: str, *options: str) -> None:
        command = [str(self._tools / name), *options]
        with (self._folder / f"{name}.log").open("wb") as log:
            process = self.namespace.run(lambda: subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder))
        self._processes.append(process)

    def _of_etcd(self) -> list[str]:
        urls = [f"--listen-client-urls={_ETCD}", f"--advertise-client-urls={_ETCD}", f"--listen-peer-urls={_PEER}"]
        urls += [f"--initial-advertise-peer-urls={_PEER}", f"--initial-cluster=default={_PEER}"]
        return [*urls, f"--data-dir={self._folder / 'etcd'}", "--unsafe-no-fsync"]

    def _of_api_server(self) -> list[str]:
        certificates.make(self._folder, "server", "subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:TRUE")
        key = self._folder / "account.key"
        programs.run(["openssl", "genrsa", "-out", key, "2048"])
        known = self._folder / "tokens.csv"
        known.write_text(f"{self._token},admin,admin,system:masters\n")
        return [
            f"--etcd-servers={_ETCD}",
            f"--secure-port={_PORT}",
            "--bind-address=127.0.0.1",
            "--advertise-address=192.0.2.1",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={self.authority}",
            f"--tls-private-key-file={self._folder / 'server.key'}",
            f"--token-auth-file={known}",
            "--authorization-mode=RBAC",
            f"--service-cluster-ip-range={self.services}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
        ]

    def _ready(self) -> bool:
        for process in self._processes:
            assert process.poll() is None, f"{process.args!r} has ended: {self._logs()}"
        try:
            self.run(lambda: self.admin.get("/api/v1/namespaces/default"))
        except (Refused, Unreachable):
            return False
        return True

    def _logs(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in self._folder.glob("*.log"))

    def _end(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait(timeout=60 * PATIENCE)
        self.namespace.delete()
