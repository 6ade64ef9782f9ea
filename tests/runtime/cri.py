"""crictl as functions: pods and containers, asked for as kubelet asks."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.images import BUSYBOX
from runtime.sandbox import Sandbox

# Each container has its own processes, which is what kubelet asks for, too.
_LINUX = {"security_context": {"namespace_options": {"pid": 1}}}


class CriError(Exception):
    """crictl failed; the text is what it said."""


@dataclass(frozen=True)
class Pod:
    """One pod sandbox of the runtime."""

    id: str
    config: Path


@dataclass(frozen=True)
class Cri:
    """A client of a runtime in the sandbox."""

    box: Sandbox
    crictl: Path
    socket: str

    def _run(self, *words: str | Path) -> str:
        endpoint = f"unix://{self.socket}"
        argv = [self.crictl, "--timeout", "110s", "-r", endpoint, "-i", endpoint, *words]
        done = self.box.try_run(argv, env={"CRI_CONFIG_FILE": "/dev/null"})
        if done.returncode:
            raise CriError(done.stdout + done.stderr)
        return done.stdout

    def _json(self, *words: str | Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._run(*words))
        return found

    def run_pod(self, name: str, attempt: int = 0, pod_options: Mapping[str, object] | None = None) -> Pod:
        """Create a pod sandbox: the ADD; `wishes` are further keys of its configuration."""
        uid = str(uuid.uuid4())
        config = self.box.scratch / f"pod-{uid}.json"
        metadata = {"name": name, "namespace": "runtime", "uid": uid, "attempt": attempt}
        content = {"metadata": metadata, "log_directory": str(self.box.scratch), "linux": _LINUX}
        config.write_text(json.dumps(content | dict(pod_options or {})))
        return Pod(self._run("runp", config).strip(), config)

    def run_container(self, pod: Pod, *command: str) -> str:
        """Start a busybox container in a pod; give its id."""
        config = self.box.scratch / f"container-{uuid.uuid4()}.json"
        metadata = {"name": config.stem}
        content = {"metadata": metadata, "image": {"image": BUSYBOX}, "command": command, "linux": _LINUX}
        config.write_text(json.dumps(content))
        container = self._run("create", "--no-pull", pod.id, config, pod.config).strip()
        self._run("start", container)
        return container

    def exec(self, container: str, *command: str) -> str:
        """Run a command in a container; it must succeed."""
        return self._run("exec", "-s", "--timeout", "100", container, *command)

    def inspect(self, pod: Pod) -> dict[str, Any]:
        """Return all that the runtime knows of a pod."""
        return self._json("inspectp", "-o", "json", pod.id)

    def addresses(self, pod: Pod) -> list[str]:
        """Return the pod's addresses, primary first."""
        network = self.inspect(pod)["status"]["network"]
        return [network["ip"], *(other["ip"] for other in network.get("additionalIps", []))]

    def is_ready(self, pod: Pod) -> bool:
        """Report whether the runtime counts the pod as ready."""
        return bool(self.inspect(pod)["status"]["state"] == "SANDBOX_READY")

    def pod_ids(self) -> set[str]:
        """Return the pods that the runtime lists, in any state."""
        return {item["id"] for item in self._json("pods", "-o", "json")["items"]}

    def stop(self, pod: Pod) -> None:
        """Stop a pod: the DEL."""
        self._run("stopp", pod.id)

    def remove(self, pod: Pod, *, force: bool = False) -> None:
        """Remove a pod, a running one by force."""
        self._run("rmp", *(["-f"] if force else []), pod.id)

    def version(self) -> str:
        """Return the runtime's own version."""
        (line,) = (line for line in self._run("version").splitlines() if line.startswith("RuntimeVersion:"))
        return line.split()[1]

    def info(self) -> dict[str, Any]:
        """Return the runtime's own status."""
        return self._json("info")

    def network_condition(self) -> dict[str, Any]:
        """Return the condition NetworkReady."""
        (condition,) = (c for c in self.info()["status"]["conditions"] if c["type"] == "NetworkReady")
        return dict(condition)
