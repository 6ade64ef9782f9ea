"""A machine within the machine: the PID 1 of net, mount, pid, ipc, uts and cgroup namespaces of its own.

Killing that PID 1 ends every process, mount, link and rule inside. It dies with the test process, however
that ends (PR_SET_PDEATHSIG). Nothing inside reaches the machine's own runtime, /run or network.
`ip netns exec` would not do for a containerd: its new /sys hides the cgroups.
"""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import programs
from lab.cgroups import Cgroups, cgroups, hierarchies, joining, stale
from lab.waiting import wait_until

_PREFIX = "slash80-runtime-"

# Files whose places containerd, shims and runc have hard-coded lie in /run and /var/lib: both are replaced.
# /run first, with -n, since mount and umount keep notes in it; /var/lib by an overlay, because a tmpfs over a
# missing /var/lib/cni would need that directory made on the machine.
_INIT = """
mount -n -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns /run/lock /run/var-lib /run/var-lib/upper /run/var-lib/work
umount -R /sys/fs/cgroup
mount -t sysfs sysfs /sys
mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
{cgroup_mounts}
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/var-lib/upper,workdir=/run/var-lib/work overlay /var/lib
hostname slash80-node
ip link set lo up
mount --make-rshared /
echo ready
exec {pause}
"""


@dataclass(frozen=True)
class Started:
    """A command that runs in the sandbox."""

    process: subprocess.Popen[bytes]

    def end(self, number: signal.Signals) -> None:
        """Send it a signal and wait for its end; one that has ended stays so."""
        # The command is a child: nsenter forks to enter a pid namespace.
        wait_until(lambda: self.process.poll() is not None or bool(_children(self.process.pid)))
        for child in _children(self.process.pid):
            os.kill(child, number)
        self.process.wait(timeout=120)


@dataclass(frozen=True)
class Sandbox:
    """The running sandbox: how to execute things in it and see its files."""

    pid: int
    scratch: Path
    groups: Cgroups

    def path(self, inside: str | Path) -> Path:
        """Where a file of the sandbox is seen from outside."""
        return Path(f"/proc/{self.pid}/root", str(inside).lstrip("/"))

    def command(self, argv: Sequence[str | Path], netns: str = "") -> list[str]:
        """Prefix a command line so that it runs in the sandbox, or in a named network namespace of it."""
        inner = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
        outer = ["nsenter", "-t", str(self.pid), "-m", "-n", "-p", "-u", "-i", "-C", "--"]
        return [*outer, *inner, *map(str, argv)]

    def try_run(
        self,
        argv: Sequence[str | Path],
        *,
        netns: str = "",
        stdin: str = "",
        env: dict[str, str] | None = None,
        seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever its exit code; more than `seconds` it must not take."""
        environment = {"PATH": os.environ["PATH"], "TMPDIR": str(self.scratch / "tmp"), **(env or {})}
        return programs.ended(self.command(argv, netns), stdin=stdin, environ=environment, seconds=seconds)

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        netns: str = "",
        stdin: str = "",
        env: dict[str, str] | None = None,
    ) -> str:
        """Run a command that must succeed; give its output."""
        done = self.try_run(argv, netns=netns, stdin=stdin, env=env)
        if done.returncode:
            programs.fail(subprocess.CompletedProcess([*map(str, argv)], done.returncode, done.stdout, done.stderr))
        return done.stdout

    @contextmanager
    def running(self, argv: Sequence[str | Path], *, netns: str = "", log: str = "other.log") -> Iterator[Started]:
        """Run a command inside the sandbox's cgroups for the time of the block; SIGTERM ends it."""
        environment = {"PATH": os.environ["PATH"], "TMPDIR": str(self.scratch / "tmp")}
        command = joining(self.groups.leaves, self.command(argv, netns))
        with (self.scratch / log).open("ab") as out:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        started = Started(process)
        try:
            yield started
        finally:
            started.end(signal.SIGTERM)


@contextmanager
def sandbox(pause: Path) -> Iterator[Sandbox]:
    """Make a sandbox, with a scratch directory that goes with it; `pause` becomes its PID 1."""
    _sweep()
    name = f"{_PREFIX}{os.getpid()}"
    with _scratch(name) as scratch, cgroups(name) as groups:
        init = scratch / "pause"
        shutil.copy2(pause, init)
        with _namespaces(groups, init) as pid:
            yield Sandbox(pid, scratch, groups)


@contextmanager
def _namespaces(groups: Cgroups, init: Path) -> Iterator[int]:
    mounts = "\n".join(hierarchy.mount_command for hierarchy in groups.hierarchies)
    script = _INIT.format(cgroup_mounts=mounts, pause=shlex.quote(str(init)))
    unshare = "unshare --net --mount --pid --ipc --uts --cgroup --fork --kill-child --mount-proc"
    command = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        *unshare.split(),
        "--propagation",
        "private",
        "sh",
        "-ec",
        script,
    ]
    with subprocess.Popen(
        joining(groups.roots, command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout
            said = process.stdout.readline()
            if said != "ready\n":
                raise RuntimeError(f"the sandbox does not start (it needs root): {said}{process.stdout.read()}")
            (pid,) = _children(process.pid)
            groups.settle(process.pid, pid)
            yield pid
        finally:
            for child in _children(process.pid):
                os.kill(child, signal.SIGKILL)  # unshare ends after it, and it after all inside
            if not _children(process.pid):
                process.kill()


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@contextmanager
def _scratch(name: str) -> Iterator[Path]:
    """Hold a directory that containers' processes may pass through (0711)."""
    scratch = Path(tempfile.gettempdir(), name)
    scratch.mkdir(mode=0o711)
    try:
        (scratch / "tmp").mkdir()
        yield scratch
    finally:
        shutil.rmtree(scratch)


def _sweep() -> None:
    """Remove what a run killed by SIGKILL could not remove; its processes ended with it."""
    for name in stale(_PREFIX):
        Cgroups(name, tuple(hierarchies())).remove()
        shutil.rmtree(Path(tempfile.gettempdir(), name), ignore_errors=True)
