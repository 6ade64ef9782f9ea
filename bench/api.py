"""An API server with a cluster of many pods, in a process of its own: its work must not count as an agent's."""

import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench import cluster
from lab.kube import NAMESPACES, PODS, POLICIES, Document, FakeApi


@dataclass
class _LargeApi(FakeApi):
    """Makes its pods while it lists them: 100,000 of them are 400 MB."""

    pods: int = 0
    local: frozenset[int] = frozenset()  # numbers of the pods of the agent's node

    def listed(self, path: str, query: dict[str, str]) -> Document | bytes:
        """Return a page, as large as it was asked for."""
        self.page = int(query["limit"])
        if path != PODS:
            return super().listed(path, query)
        start = int(query.get("continue", "0"))
        end = min(start + self.page, self.pods)
        metadata = {"resourceVersion": str(self.version), "continue": str(end) if end < self.pods else ""}
        items = ",".join(cluster.pod(one, node="a" if one in self.local else "b") for one in range(start, end))
        return f'{{"metadata":{json.dumps(metadata)},"items":[{items}]}}'.encode()


@dataclass
class ClusterApi(FakeApi):
    """The same, in another process from its start on; `account` has the certificate."""

    account: Path = Path()
    pods: int = 0
    policies: int = 0
    local: Iterable[int] = ()
    _process: subprocess.Popen[str] | None = field(default=None)

    def start(self) -> str:
        """Start the process in the network namespace of the calling thread, and return the URL."""
        words = [
            sys.executable,
            "-m",
            "bench.api",
            str(self.account),
            *map(str, (self.pods, self.policies, *self.local)),
        ]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        url = self._process.stdout.readline().strip()
        for path, objects in self.objects.items():
            for document in objects.values():
                self.put(path, document)
        return url

    def stop(self) -> None:
        """End the process, if it was started."""
        if self._process:
            self._process.communicate()

    def put(self, path: str, document: Document) -> None:
        """Make an object, or change it."""
        if self._process:
            self.put_at(path, document)
        else:
            super().put(path, document)

    def put_at(self, path: str, document: Document) -> int:
        """Do the same, and return when watches were told: nanoseconds of CLOCK_MONOTONIC."""
        assert self._process
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([path, document]), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


def main(account: Path, pods: int, policies: int, *local: int) -> None:
    """Serve until standard input ends; each line of it is a path and an object to put there."""
    api = _LargeApi(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), pods=pods, local=frozenset(local))
    assert api.tls
    api.tls.load_cert_chain(account / "ca.crt", account / "ca.key")
    for one in cluster.namespaces():
        api.put(NAMESPACES, one)
    for one in cluster.Policies().made(policies):
        api.put(POLICIES, one)
    print(api.start(), flush=True)
    for line in sys.stdin:
        path, document = json.loads(line)
        told = time.monotonic_ns()
        api.put(path, document)
        print(told, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
