"""The node that is churned: a site, pods, networks, and every attachment that may ever be made."""

import ctypes
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab import programs
from lab.namespaces import CLONE_NEWNET, Namespace
from lab.rig import configuration
from lab.topology import Site

Json = dict[str, Any]
PODS = 24
MAIN, SECOND, TINY = "main", "second", "tiny"
PREFIXES: dict[str, dict[str, str]] = {
    MAIN: {"ipv4": "10.96.0.0/19", "ipv6": "2001:db8:0:1:1::/80"},  # more than are given within 30 s
    SECOND: {"ipv4": "10.97.0.0/19", "ipv6": "2001:db8:0:1:2::/80"},
    TINY: {"ipv4": "10.98.0.0/29"},
}
REQUESTABLE = [f"10.96.7.{number}" for number in range(200, 216)]  # asked for by name; the others come in order


@dataclass(frozen=True)
class Spot:
    """One attachment that may be made: whose, where, on which network."""

    container: str
    ifname: str
    pod: int
    network: str

    @property
    def name(self) -> str:
        """The attachment's name in records."""
        return f"{self.container}/{self.ifname}"


def _spots() -> dict[str, Spot]:
    """Return all attachments: two or three per pod, and a stranger that wants the same interface of the same pod."""
    found = []
    for pod in range(PODS):
        found += [Spot(f"c{pod}", "eth0", pod, MAIN), Spot(f"c{pod}", "eth1", pod, SECOND)]
        if pod % 3 == 0:
            found += [Spot(f"c{pod}", "eth2", pod, TINY)]
        if pod % 4 == 0:
            found += [Spot(f"x{pod}", "eth0", pod, MAIN)]
    return {spot.name: spot for spot in found}


SPOTS = _spots()


@dataclass
class World:
    """A context manager that makes the node, puts this process into it, and removes everything at the end."""

    root: Path | None
    site: Site = field(init=False)
    pods: list[Namespace] = field(init=False)

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="slash80-soak-", dir="/run"))
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.site = Site()
        except BaseException:
            self._remove()
            raise
        try:
            self.pods = [self.site.pod() for _ in range(PODS)]
            for folder in (self.results, self.logs):
                folder.mkdir()
            with self.site.node.namespace.path.open("rb") as file:
                _enter(file.fileno())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _enter(self._home)
        self.site.close()
        self._remove()

    def _remove(self) -> None:
        os.close(self._home)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def host(self) -> Namespace:
        """The node's namespace."""
        return self.site.node.namespace

    @property
    def state_dir(self) -> Path:
        """Where the plugin keeps its state."""
        return self._folder / "state"

    @property
    def results(self) -> Path:
        """What successful ADDs answered, as a runtime caches it, one file per attachment."""
        return self._folder / "results"

    @property
    def logs(self) -> Path:
        """What the workers wrote down."""
        return self._folder / "logs"

    def conf(self, network: str) -> Json:
        """Return a network's configuration."""
        families = {family: {"prefixes": [prefix]} for family, prefix in PREFIXES[network].items()}
        changes: Json = {"name": network, "cniVersion": "1.1.0", "ipv4": None, "ipv6": None}
        return configuration(self.site.node, self.state_dir, **changes) | families

    def remember(self, spot: Spot, operation: str, result: Json) -> None:
        """Cache what an ADD answered."""
        path = self.results / spot.name.replace("/", "-")
        new = path.with_name(f"{path.name}.{os.getpid()}")
        new.write_text(json.dumps([operation, result]))
        new.replace(path)

    def recall(self, spot: Spot) -> tuple[str, Json] | None:
        """Return the operation that was last known to attach a spot, and its result."""
        try:
            operation, result = json.loads((self.results / spot.name.replace("/", "-")).read_text())
        except FileNotFoundError:
            return None
        return operation, result

    def renew(self, pod: int) -> None:
        """Delete a pod's namespace and make another under its name, as a restarted sandbox may have it."""
        namespace = self.pods[pod]
        namespace.delete()
        Namespace.create(namespace.name)
        programs.run(["ip", "-n", namespace.name, "link", "set", "lo", "up"])

    def mend(self) -> list[int]:
        """Make the namespaces that a killed worker deleted and never made again; give their numbers."""
        broken = [number for number, pod in enumerate(self.pods) if not _is_namespace(pod.path)]
        for number in broken:
            self.renew(number)
        return broken


def _is_namespace(path: Path) -> bool:
    try:
        return path.stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except FileNotFoundError:
        return False


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
