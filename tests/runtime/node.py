"""The node under test: pods on a containerd with slash80, what they reach, and what is left after them."""

import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import state
from lab.waiting import PATIENCE, wait_until
from runtime.containerd import Containerd
from runtime.cri import Cri, Pod
from runtime.internet import FAR, PORT, source_in
from runtime.sandbox import Sandbox
from slash80.store.locks import Absent, FileLock

PREFIX = {4: "10.80.1.0/24", 6: "2001:db8:a:b:1::/80"}
STATE_DIR = "/run/slash80"
Json = dict[str, Any]


@dataclass(frozen=True)
class Running:
    """A pod with a container in it."""

    pod: Pod
    container: str
    addresses: tuple[str, ...]

    @property
    def by_family(self) -> dict[int, str]:
        """The addresses by family number."""
        return {6 if ":" in address else 4: address for address in self.addresses}


@dataclass(frozen=True)
class Node:
    """What tests do on the node."""

    box: Sandbox
    daemon: Containerd
    cri: Cri
    example: Json
    _names: Iterator[int] = field(default_factory=itertools.count)

    def conflist(self, *chained: Mapping[str, Any], **changes: object) -> Json:
        """Return the shipped example with this node's prefixes; `changes` replace keys, `chained` plugins follow."""
        (plugin,) = self.example["plugins"]
        prefixes = {f"ipv{family}": {"prefixes": [prefix]} for family, prefix in PREFIX.items()}
        return {**self.example, "plugins": [plugin | prefixes | changes, *chained]}

    def use(self, conflist: Mapping[str, Any]) -> None:
        """Put a configuration in place and wait until the runtime has loaded it."""
        self.daemon.write_conflist(conflist)
        wait_until(lambda: self._loaded() == conflist)

    def _loaded(self) -> Mapping[str, Any] | None:
        networks = (self.cri.info().get("cniconfig") or {}).get("Networks") or []
        sources = [json.loads(n["Config"]["Source"]) for n in networks if n["Config"]["Name"] == self.example["name"]]
        return sources[0] if sources else None

    def names(self) -> str:
        """Return a pod name that was not used before."""
        return f"pod-{next(self._names)}"

    @contextmanager
    def pods(self, count: int = 1, pod_options: Mapping[str, object] | None = None) -> Iterator[list[Running]]:
        """Run pods with a web server in each, one after the other; at the end remove all that there are."""
        running: list[Running] = []
        try:
            for _ in range(count):
                pod = self.cri.run_pod(self.names(), pod_options=pod_options)
                running.append(Running(pod, "", ()))
                server = self.cri.run_container(pod, "httpd", "-f", "-p", str(PORT), "-h", "/www")
                running[-1] = Running(pod, server, tuple(self.cri.addresses(pod)))
            yield running
        finally:
            for pod_id in self.cri.pod_ids():
                self.cri.remove(Pod(pod_id, Path()), force=True)

    def ping(self, source: Running, address: str) -> None:
        """Send one ping from inside a pod; it must be answered."""
        self.cri.exec(source.container, "ping", "-c", "1", "-W", "2", address)

    def whoami(self, source: Running, address: str) -> str:
        """Connect from inside a pod to a web server; give the source address that the server saw."""
        request = f"printf 'GET /cgi-bin/whoami HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} {PORT}"
        answer = self.cri.exec(source.container, "sh", "-c", request)
        said = source_in(answer)
        assert said, f"{address} gave no answer to {source.addresses}: {answer}"
        return said

    def reaches(self, source: Running, address: str) -> str:
        """Ping an address and connect to it; give the source address that it saw."""
        self.ping(source, address)
        return self.whoami(source, address)

    def reaches_internet(self, source: Running) -> dict[int, str]:
        """Reach the Internet in each family that the pod has; give the sources that it saw."""
        return {family: self.reaches(source, FAR[family]) for family in source.by_family}

    def attachments(self) -> int:
        """Count the attachments in the store, but for those that are being removed."""
        return state.living(self._state())

    def _state(self) -> Path:
        """Copy the store's files while no call writes them: SQLite resolves /proc/PID/root to the machine's root."""
        store, copy = self.box.path(STATE_DIR), self.box.scratch / "state"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        with suppress(Absent), FileLock(store / "lock", make=False).held(20 * PATIENCE):
            for file in store.glob("state.db*"):
                shutil.copy2(file, copy)
        return copy

    def host_ends(self) -> set[str]:
        """Name the host ends of pods."""
        links = json.loads(self.box.run(["ip", "-j", "link", "show"]))
        return {link["ifname"] for link in links if link["ifname"].startswith(("s80", "x80"))}

    def remains(self) -> list[str]:
        """Name every link, route and row of a pod that is there; empty when all was released.

        An agent's reaper takes some seconds for that; no other process does.
        """
        with suppress(TimeoutError):
            wait_until(lambda: not self.has_agent() or not self._remains(), seconds=50)
        return self._remains()

    def has_agent(self) -> bool:
        """Report whether an agent serves the node, or did until it was killed."""
        return (self.box.path(STATE_DIR) / "cni.sock").exists()

    def _remains(self) -> list[str]:
        found = [f"link {name}" for name in self.host_ends()]
        for words in ("-4", "-6"):
            routes = json.loads(self.box.run(["ip", words, "-j", "route", "show", "table", "all"]))
            ours = (r["dst"] for r in routes if r["dst"].startswith(("10.80.", "2001:db8:a:b:")))
            found += [f"route {destination}" for destination in ours if "/" not in destination]
        copy = self._state()
        found += ["attachment in the store"] * state.attachments(copy)
        return found + ["held address in the store"] * state.held_addresses(copy)
