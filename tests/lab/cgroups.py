"""A cgroup of our own in every hierarchy of the machine, v1, v2 or both, and its removal.

Everything that a sandbox runs lies below it, so what a crash leaves behind is found by its name.
"""

import os
import re
import shlex
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_NOT_FOR_MOUNT = {"rw", "ro", "xattr", "clone_children", "noprefix"}


@dataclass(frozen=True)
class Hierarchy:
    """One mounted cgroup hierarchy."""

    mountpoint: Path
    fstype: str
    options: str

    @property
    def is_unified(self) -> bool:
        """Report whether it is the one of version 2."""
        return self.fstype == "cgroup2"

    @property
    def mount_command(self) -> str:
        """Shell words that mount this hierarchy at the same place in a new cgroup namespace."""
        options = f"-o {self.options}" if self.options else ""
        return f"mkdir -p {self.mountpoint}; mount -t {self.fstype} {options} cgroup {self.mountpoint}"


def hierarchies() -> list[Hierarchy]:
    """Read the machine's cgroup mounts, each hierarchy once."""
    found: dict[tuple[str, str], Hierarchy] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ", 1)
        fstype, _, superblock = after.split(" ", 2)
        if fstype not in {"cgroup", "cgroup2"}:
            continue
        options = [] if fstype == "cgroup2" else superblock.split(",")
        kept = [o for o in options if o not in _NOT_FOR_MOUNT and not o.startswith("release_agent=")]
        if any(option.startswith("name=") for option in kept):
            kept.insert(0, "none")
        hierarchy = Hierarchy(Path(before.split(" ")[4]), fstype, ",".join(kept))
        found.setdefault((fstype, hierarchy.options), hierarchy)
    return list(found.values())


@dataclass(frozen=True)
class Cgroups:
    """The cgroups of one name in all hierarchies."""

    name: str
    hierarchies: tuple[Hierarchy, ...]

    def create(self) -> None:
        """Make the cgroups; a cpuset without cpus and memory nodes takes no process, so these are filled."""
        for hierarchy in self.hierarchies:
            base = hierarchy.mountpoint / self.name
            base.mkdir()
            if "cpuset" in hierarchy.options:
                for key in ("cpuset.cpus", "cpuset.mems"):
                    (base / key).write_text((hierarchy.mountpoint / key).read_text())
            if hierarchy.is_unified:
                (base / "init").mkdir()

    @property
    def roots(self) -> list[Path]:
        """Files that take the process whose cgroup namespace is about to be made."""
        return [hierarchy.mountpoint / self.name / "cgroup.procs" for hierarchy in self.hierarchies]

    @property
    def leaves(self) -> list[Path]:
        """Files that take every later process.

        A cgroup of v2 passes controllers on only if it has no process of its own: hence the one below it.
        """
        return [
            h.mountpoint / self.name / ("init/cgroup.procs" if h.is_unified else "cgroup.procs")
            for h in self.hierarchies
        ]

    def settle(self, *pids: int) -> None:
        """Move processes from the roots to the leaves."""
        for leaf in self.leaves:
            for pid in pids:
                leaf.write_text(str(pid))

    def pids(self) -> set[int]:
        """Name every process in the cgroups and below."""
        found: set[int] = set()
        for hierarchy in self.hierarchies:
            for members in (hierarchy.mountpoint / self.name).glob("**/cgroup.procs"):
                with suppress(OSError):
                    found.update(map(int, members.read_text().split()))
        return found

    def kill(self) -> None:
        """Kill all of them; who forks meanwhile needs another time."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._thaw()

    def _thaw(self) -> None:
        """Let frozen ones go on, as of a runtime that died while it changed a container: in v1 none dies frozen."""
        for hierarchy in self.hierarchies:
            for name, thawed in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
                for state in (hierarchy.mountpoint / self.name).glob(f"**/{name}"):
                    with suppress(OSError):
                        state.write_text(thawed)

    def remove(self, *, kill: bool = False, seconds: float = 60) -> None:
        """Remove the cgroups with all below; the kernel needs a moment after the last process, which it may `kill`."""
        deadline = time.monotonic() + seconds
        bases = [hierarchy.mountpoint / self.name for hierarchy in self.hierarchies]
        while remaining := [base for base in bases if base.exists()]:
            if kill:
                self.kill()
            try:
                for base in remaining:
                    for directory, _, _ in os.walk(base, topdown=False):
                        Path(directory).rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def joining(files: Sequence[Path], command: Sequence[str] = ()) -> list[str]:
    """Return a command line, or its beginning, that enters cgroups by these files and then becomes the command."""
    groups = " ".join(shlex.quote(str(file)) for file in files)
    return ["sh", "-ec", f'for group in {groups}; do echo $$ > $group; done; exec "$@"', "sh", *command]


@contextmanager
def cgroups(name: str) -> Iterator[Cgroups]:
    """Hold cgroups of this name for the time of the block."""
    groups = Cgroups(name, tuple(hierarchies()))
    try:
        groups.create()
        yield groups
    finally:
        groups.remove()


def stale(prefix: str) -> list[str]:
    """Names `<prefix><pid>` whose process is gone: what a killed run left behind."""
    names = {path.name for h in hierarchies() for path in h.mountpoint.glob(f"{prefix}*")}
    owners = {name: re.fullmatch(rf"{prefix}(\d+)", name) for name in names}
    return sorted(name for name, match in owners.items() if match and not Path("/proc", match[1]).exists())
