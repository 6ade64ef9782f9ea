"""A place in which a faulty program can do no harm: a copy of the tree in namespaces of its own.

Every file system is read-only there but a new /run, which holds the copy; the network is empty; and whatever was begun
ends with the run, also if that is killed.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import programs

_UNSHARE = ("unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc")
# $1 is the tree, $2 a directory for what comes out of the run. The shell stays: the first process of a PID namespace is
# told of no signal that it has not asked for, and inherits all orphans.
_SCRIPT = """
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/tree /run/out /run/tmp
mount --bind "$1" /run/tree
mount --bind "$2" /run/out
findmnt -rnuo TARGET -t ext4,xfs,btrfs,f2fs,overlay,tmpfs | while read -r mounted; do
    case $mounted in
        /run | /run/* | /dev/*) ;;
        *)
            place=$(printf %b "$mounted")
            # another program may have removed it meanwhile, as a container engine does
            mount -o remount,bind,ro "$place" || ! mountpoint -q "$place"
            ;;
    esac
done
mount -o remount,bind,ro /run/tree
ip link set lo up
cd /run/tree
shift 2
touch /run/out/begun
"$@" || exit
"""
TREE, OUT = Path("/run/tree"), Path("/run/out")  # as they are called inside


@dataclass(frozen=True)
class Ended:
    """How a run ended; its exit code is None when its time was over."""

    code: int | None
    text: str


class Unusable(RuntimeError):
    """The place could not be made, so what was to run in it says nothing; the message is that of the shell."""


class Sandbox:
    """A copy of the files of a tree that git knows of, below a new folder."""

    def __init__(self, source: Path, folder: Path) -> None:
        """Copy it."""
        self.tree, self.out = folder / "tree", folder / "out"
        self.out.mkdir(parents=True)
        self.names = _files(source)
        for name in self.names:
            target = self.tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target, follow_symlinks=False)

    def run(self, command: Sequence[str], environ: Mapping[str, str], seconds: float) -> Ended:
        """Run a program in the tree, and end it and all that it began after so many seconds.

        Raise Unusable if it was never begun.
        """
        begun = self.out / "begun"
        begun.unlink(missing_ok=True)
        inside = {
            "HOME": "/run/tmp",
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(str(TREE / name) for name in ("src", "tests", ".")),
            "TMPDIR": "/run/tmp",
            **environ,
        }
        program = ["setpriv", "--pdeathsig", "KILL", *_UNSHARE, "--propagation", "private", "bash", "-euc", _SCRIPT]
        words = [*program, "sandbox", str(self.tree), str(self.out), *command]
        with (self.out / "text").open("w+b") as text:
            # a file and no pipe: who is left of a killed run may hold it open for ever
            process = subprocess.Popen(words, env=inside, stdin=subprocess.DEVNULL, stdout=text, stderr=text)
            try:
                code: int | None = process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = None
            text.seek(0)
            if code is not None and not begun.exists():
                raise Unusable(f"no sandbox can be made: {text.read().decode(errors='replace').strip()}")
            return Ended(code, text.read().decode(errors="replace"))


def _files(tree: Path) -> list[str]:
    """Return the files of a tree that git knows or would take, without those that are gone."""
    listed = programs.run(["git", "-C", tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
    return sorted({name for name in listed.split("\0") if name and (tree / name).exists()})
