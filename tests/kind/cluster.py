"""A kind cluster in a sandbox, for people and for tests."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kind import nodeimage
from kind.sandbox import Sandbox
from lab.programs import ProgramFailed
from lab.waiting import PATIENCE

T = TypeVar("T")
_PATIENCE = 300.0  # seconds, of a busy machine


class Cluster:
    """One cluster; kubectl and the nodes' own programs are run inside the sandbox."""

    def __init__(self, sandbox: Sandbox, tools: Path, name: str = "lab", *, network: str = "") -> None:
        """Name it; nothing is made. `tools` has kind and kubectl; `network` is podman's, if not the one of all."""
        self.sandbox, self.name = sandbox, name
        self._environ = {"PATH": f"{tools}:{os.environ['PATH']}"}
        if network:
            self._environ["KIND_EXPERIMENTAL_PODMAN_NETWORK"] = network

    def create(self, config: Path) -> None:
        """Make the cluster that a kind configuration describes, and wait for its control plane."""
        self._kind("create", "cluster", "--image", nodeimage.NAME, "--config", config, "--retain")

    def delete(self) -> None:
        """Delete it."""
        self._kind("delete", "cluster")

    def load(self, image: Path) -> None:
        """Load an image's archive into every node."""
        self._kind("load", "image-archive", image)

    def kubectl(self, *words: str | Path, stdin: str = "", check: bool = True) -> str:
        """Run kubectl and give what it prints."""
        # by its name: several clusters share one file, and each new one is the current
        command = ["kubectl", "--context", f"kind-{self.name}", *words]
        return self.sandbox.run(command, stdin=stdin, environ=self._environ, check=check)

    def with_token(self, token: str, *words: str) -> str:
        """Run kubectl with a token, and return what it prints."""
        server = self.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
        who = ["--kubeconfig=/dev/null", f"--server={server}", "--insecure-skip-tls-verify", f"--token={token}"]
        return self.sandbox.run(["kubectl", *who, *words], environ=self._environ)

    def get(self, *words: str) -> dict[str, Any]:
        """Return what `kubectl get` shows, as a document."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def items(self, *words: str) -> list[dict[str, Any]]:
        """Return the objects of a list."""
        found: list[dict[str, Any]] = self.get(*words)["items"]
        return found

    def apply(self, manifest: str, *words: str) -> None:
        """Apply a manifest's text."""
        self.kubectl("apply", "-f", "-", *words, stdin=manifest)

    def nodes(self) -> list[str]:
        """Name the nodes, the control plane first."""
        return [one["metadata"]["name"] for one in self.items("nodes")]

    def on(self, node: str, *command: str | Path, check: bool = True) -> str:
        """Run a command on a node and give what it prints."""
        return self.sandbox.run(["podman", "exec", "-i", node, *command], environ=self._environ, check=check)

    def podman(self, *words: str) -> str:
        """Run podman, which has the nodes as its containers."""
        return self.sandbox.run(["podman", *words], environ=self._environ)

    def entering(self, command: Sequence[str | Path]) -> list[str]:
        """Return the command line that runs a command where kubectl and podman are."""
        return self.sandbox.entering(command, self._environ)

    def eventually(self, question: Callable[[], T], *, what: str, patience: float = _PATIENCE) -> T:
        """Ask until the answer is true, and give it; raise TimeoutError with the last answer when it never is."""
        patience *= PATIENCE
        end = time.monotonic() + patience
        while True:
            try:
                answer: object = (found := question())
                if found:
                    return found
            except (ProgramFailed, AssertionError, LookupError, ValueError) as error:
                answer = error
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not within {patience:g} s; at last: {answer}")
            time.sleep(0.5)

    def _kind(self, *words: str | Path) -> None:
        self.sandbox.run([self._program, *words, "--name", self.name], environ=self._environ)

    _program = "kind"


def settle(cluster: Cluster, *, kinds: Sequence[str] = ("nodes",)) -> None:
    """Wait until all objects of these kinds are ready."""
    for kind in kinds:
        cluster.kubectl("wait", "--for=condition=Ready", kind, "--all", "--timeout=300s")
