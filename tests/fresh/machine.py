"""A machine with nothing but Debian's smallest system, git and make: a root directory, and namespaces around it.

Each trial begins with the bare root again, under an overlay; what they share is the clone of the tree and the
packages of Python that the first one installed. It has the machine's network, or it could install nothing.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fresh import registries
from kind.debian import bootstrap
from kind.sandbox import PREFIX, remember_settings, restore_settings
from lab import programs
from lab.cgroups import Cgroups, cgroups, hierarchies, joining

_SOURCE = "/src"
_LIMIT = 3600.0  # seconds for one command: a cold build of Kubernetes takes half of it
_NAMESPACES = ("--mount", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child", "--propagation", "private")
# What was built before is seen as it is; the roots of clusters, our image and its packages of Python are built again.
_BUILT = ("cluster-*", "fuzz-*", "go-*", "tools-*")
_INSIDE = """
root=$1; shift
mount -t tmpfs -o mode=1777 tmpfs $root/tmp
mount -t tmpfs -o mode=755 tmpfs $root/run
mount -t proc proc $root/proc
mount -t sysfs sysfs $root/sys
mount --rbind /dev $root/dev
{binds}
# and not chroot: below a changed root the kernel makes no user namespaces
mkdir $root/.old
pivot_root $root $root/.old
cd {source}
umount -l /.old
rmdir /.old
mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
{cgroups}
{leaves}
hostname fresh
"$@" 2>&1
"""


@dataclass(frozen=True)
class Machine:
    """The bare root, and a folder on a tmpfs for all that trials write."""

    folder: Path
    home: Path = field(default_factory=lambda: Path(os.environ["HOME"]))

    @property
    def base(self) -> Path:
        """The bare root."""
        return self.folder / "base"

    @contextmanager
    def root(self, name: str) -> Iterator[Path]:
        """Yield a root that is as bare as the first, for the time of the block."""
        upper, work, root = (self.folder / name / part for part in ("upper", "work", "root"))
        for path in (upper, work, root):
            path.mkdir(parents=True)
        options = f"lowerdir={self.base},upperdir={upper},workdir={work}"
        programs.run(["mount", "-t", "overlay", "-o", options, "overlay", root])
        try:
            yield root
        finally:
            programs.run(["umount", root])

    def run(self, root: Path, command: str) -> None:
        """Run a command of the shell in the clone of the tree; raise ProgramFailed with what it said."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Debian's, for root
        variables = {"HOME": str(self.home), "PATH": path, **registries.environment()}
        # made for no longer than they are used, since another run takes empty ones for those of a run that was killed
        with cgroups(f"{PREFIX}fresh-{secrets.token_hex(3)}") as groups:
            inside = ["bash", "-euc", self._script(root, groups), "bash", str(root), "bash", "-euc", command]
            words = joining(groups.roots, ["unshare", *_NAMESPACES, *inside])
            done = programs.ended(words, environ=variables, seconds=_LIMIT)
        if done.returncode:
            programs.fail(subprocess.CompletedProcess([command], done.returncode, done.stdout, done.stderr))

    def packages(self, root: Path) -> set[str]:
        """Return the Debian packages that were installed by name."""
        return set(programs.run(["chroot", root, "apt-mark", "showmanual"]).split())

    def _script(self, root: Path, groups: Cgroups) -> str:
        binds = [f"mkdir -p {root}{path}; mount --bind {source} {root}{path}" for source, path in self._shared()]
        mounts = [hierarchy.mount_command for hierarchy in groups.hierarchies]
        leaves = [f"echo $$ > {h.mountpoint}/init/cgroup.procs" for h in groups.hierarchies if h.is_unified]
        parts = {"binds": binds, "cgroups": mounts, "leaves": leaves}
        return _INSIDE.format(source=_SOURCE, **{name: "\n".join(lines) for name, lines in parts.items()})

    def _shared(self) -> Iterator[tuple[Path, Path]]:
        """Yield what is seen inside, as pairs of a directory here and its place there."""
        cache = self.home / ".cache/slash80"
        yield self.folder / "src", Path(_SOURCE)
        yield self.folder / "cache", cache
        for path in _matching(Path(os.environ["SLASH80_CACHE"]), _BUILT):
            yield path, cache / path.name
        places = {"GOMODCACHE": "go/pkg/mod", "GOCACHE": ".cache/go-build", "PIP_CACHE_DIR": ".cache/pip"}
        for path in (Path(os.environ.get(key, self.home / place)) for key, place in places.items()):
            path.mkdir(parents=True, exist_ok=True)
            yield path, path


@contextmanager
def bare(folder: Path, tree: Path) -> Iterator[Machine]:
    """Make a bare machine with a clone of a tree; in a mount namespace of the caller's own, with which it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    _sweep()
    remember_settings()
    try:
        machine = Machine(folder)
        programs.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=75%", "tmpfs", folder])
        bootstrap(machine.base, ["git", "make"])
        (machine.folder / "cache").mkdir()
        for listed in machine.base.glob("etc/apt/sources.list.d/*"):
            listed.unlink()
        registries.carry(machine.base)
        programs.run(["git", "clone", "--quiet", tree, machine.folder / "src"])
        yield machine
    finally:
        restore_settings()


def _matching(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    return (path for pattern in patterns for path in folder.glob(pattern) if path.is_dir() and path.suffix != ".new")


def _sweep() -> None:
    """Remove the cgroups of a run that was killed; its processes ended with it."""
    names = {path.name for h in hierarchies() for path in h.mountpoint.glob(f"{PREFIX}fresh-*")}
    for name in names:
        left = Cgroups(name, tuple(hierarchies()))
        if not left.pids():
            left.remove()
