"""A node's root: a directory that programs take for `/`, with what a kernel brings and no more than was put there."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.namespaces import Namespace
from lab.plugin import Outcome, Plugin
from lab.waiting import wait_until

BIN = "/opt/cni/bin"
LAUNCHER, ENGINE, NFT = f"{BIN}/slash80", f"{BIN}/.slash80/engine", f"{BIN}/.slash80/nft"
# In mounts of its own, which end with it. What a program writes to /run stays, as on a node, outside of the root.
_ENTER = """
root=$1 run=$2 options=$3
shift 3
mount --bind $root $root
mount --bind $run $root/run
mkdir -p $root/run/netns
mount --rbind /run/netns $root/run/netns
case $options in *proc*) mount -t proc proc $root/proc;; esac
case $options in *null*) mount --bind /dev/null $root/dev/null;; esac
case $options in *read-only*) mount -o remount,bind,ro $root;; esac
exec chroot $root "$@"
"""
# As the DaemonSet's init container: at /host the node's root, read-only, in an image that has nothing else.
_INSTALL = """
mount -t tmpfs tmpfs $2
mkdir -p $2/opt/cni/bin $2/host $2/proc
mount --bind $3 $2/opt/cni/bin
mount --bind $1 $2/host
mount -o remount,bind,ro $2/host
mount --bind $1/opt/cni/bin $2/host/opt/cni/bin
exec setpriv --bounding-set=-all,+sys_chroot --inh-caps=-all chroot $2 \
    /opt/cni/bin/.slash80/engine install --bin-dir=/host/opt/cni/bin --host-root=/host
"""


@dataclass(frozen=True)
class Root:
    """A root below `folder`; `options` are proc, null (/dev/null) and read-only."""

    folder: Path
    options: frozenset[str] = field(default=frozenset({"proc", "null"}), kw_only=True)

    def __post_init__(self) -> None:
        """Make the places where something is mounted."""
        for name in (self.path / "run", self.path / "opt/cni/bin", self.folder / "run", self.folder / "image"):
            name.mkdir(parents=True, exist_ok=True)
        if "proc" in self.options:
            (self.path / "proc").mkdir(exist_ok=True)
        if "null" in self.options:
            (self.path / "dev").mkdir(exist_ok=True)
            (self.path / "dev/null").touch()

    @property
    def path(self) -> Path:
        """The directory."""
        return self.folder / "root"

    @property
    def command(self) -> list[str]:
        """The beginning of a command line that runs a program of it."""
        words = [str(self.path), str(self.folder / "run"), " ".join(sorted(self.options))]
        return ["unshare", "--mount", "--propagation=private", "sh", "-euc", _ENTER, "sh", *words]

    def run(
        self, *words: str, host: Namespace | None = None, stdin: bytes = b"", **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program of it to its end."""

        def spawn() -> subprocess.CompletedProcess[bytes]:
            environ = {"PATH": os.environ["PATH"], **variables}
            command = [*self.command, *words]
            return subprocess.run(command, env=environ, input=stdin, capture_output=True, check=False, timeout=300)

        return host.run(spawn) if host else spawn()

    @contextmanager
    def agent(self, host: Namespace, **variables: str) -> Iterator[int]:
        """Have the agent serve meanwhile; give its process."""
        command = [*self.command, ENGINE, "agent", "--cni-only"]
        environ = {"PATH": os.environ["PATH"], **variables}
        process = host.run(lambda: subprocess.Popen(command, env=environ, stderr=subprocess.PIPE))
        try:
            wait_until((self.folder / "run/slash80/cni.sock").exists)
            yield process.pid
        finally:
            process.terminate()
            _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said.decode()

    def install(self, plugin: Path) -> subprocess.CompletedProcess[bytes]:
        """Install what lies at `plugin`, by itself, with one capability."""
        words = [str(self.path), str(self.folder / "image"), str(plugin)]
        command = ["unshare", "--mount", "--propagation=private", "sh", "-euc", _INSTALL, "sh", *words]
        return subprocess.run(command, capture_output=True, check=False, timeout=300)


@dataclass
class Rooted(Plugin):
    """The launcher that is installed in a root."""

    root: Root

    def execute(self, environ: Mapping[str, str], stdin: bytes) -> Outcome:
        """Run it there."""
        done = self.root.run(LAUNCHER, host=self.host, stdin=stdin, **environ)
        return Outcome(done.returncode, done.stdout, 0, done.stderr.decode(errors="replace"))
