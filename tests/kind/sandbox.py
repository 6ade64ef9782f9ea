"""A place of its own for podman and kind on a machine that is not to be changed.

It has its own cgroups, network, mounts, processes and host name. Its first process holds all of it: with that process
every container, namespace and mount ends.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab import programs
from lab.cgroups import Cgroups, hierarchies, joining
from lab.programs import ProgramFailed

_CGROUPS = Path("/sys/fs/cgroup")
# The kubelets set these, and they are the whole machine's; so is the last one, of which each node takes some fifty.
_INSTANCES, _ENOUGH = "fs/inotify/max_user_instances", 1024
_SETTINGS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", _INSTANCES)
_REMEMBERED = Path("/run/slash80-sandboxes.json")  # what they were before the first sandbox, until the last one is gone
PREFIX = "slash80-sandbox-"
_PROC_SYS = Path("/proc/sys")
_NAMESPACES = ("--cgroup", "--net", "--mount", "--pid", "--uts", "--ipc")
_UP_SECONDS, _DOWN_SECONDS = 60.0, 60.0
_STORAGE = """[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "/run/podman-storage"
"""
# crun and not runc: as podman of Debian has it. The cgroups are ours, and no systemd looks after them. A node with as
# many pods as a kubelet takes has more processes than podman allows a container.
_CONTAINERS = """[containers]
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
tmp_dir = "/run/libpod"
volume_path = "{folder}/volumes"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
_INSIDE = """
mount -t proc proc /proc
umount -R /sys/fs/cgroup
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
{cgroups}
umount /run/netns 2> /dev/null || true
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/lock
# there is no server here, and clients are to learn that at once
echo nameserver 127.0.0.1 > /run/resolv.conf
mount --bind /run/resolv.conf /etc/resolv.conf
# kind shows its nodes the kernel's modules, of which there may be none
if [ ! -d /lib/modules ]; then
    mount -t overlay overlay -o lowerdir=/usr/lib,upperdir={folder}/modules/upper,workdir={folder}/modules/work /usr/lib
    mkdir -p /usr/lib/modules
fi
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
# or podman's network translates what nodes send each other over its bridge to anything but a node
for key in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do
    [ ! -e $key ] || echo 0 > $key
done
hostname {name}
mount --make-rshared /
touch {folder}/up
exec sleep infinity
"""


class Sandbox:
    """One sandbox; everything it writes lies in its folder, and what it makes elsewhere bears its name."""

    def __init__(self, folder: Path, name: str) -> None:
        """Name them; nothing is made. Of two checkouts neither must take the other's for its own."""
        self.folder = folder
        self.name = f"{PREFIX}{name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:6]}"
        self._pid_file, self._cgroups = folder / "pid", Cgroups(self.name, tuple(hierarchies()))
        self._outer: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Make it, after removing what an earlier one of that name has left."""
        self.down()
        for inner in ("home", "networks", "volumes", "modules/upper", "modules/work"):
            (self.folder / inner).mkdir(parents=True, exist_ok=True)
        (self.folder / "storage.conf").write_text(_STORAGE.format(folder=self.folder))
        (self.folder / "containers.conf").write_text(_CONTAINERS.format(folder=self.folder))
        remember_settings()
        raise_settings()
        self._cgroups.create()
        unshare = ["unshare", *_NAMESPACES, "--fork", "--kill-child", "--propagation", "private"]
        with (self.folder / "log").open("wb") as log:
            self._outer = subprocess.Popen(
                [*self._joining(), *unshare, "bash", "-euc", self._script()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pid_file.write_text(str(self._inner(self._outer)))

    def _inner(self, outer: subprocess.Popen[bytes]) -> int:
        """Wait until all is made, and give the first process inside."""
        end = time.monotonic() + _UP_SECONDS
        while not (self.folder / "up").exists():
            if outer.poll() is not None or time.monotonic() > end:
                outer.kill()
                raise ProgramFailed(f"the sandbox was not made: {(self.folder / 'log').read_text()}")
            time.sleep(0.05)
        return int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0])

    def down(self) -> None:
        """End and remove all of it; what is not there is no error."""
        self._cgroups.remove(kill=True, seconds=_DOWN_SECONDS)
        if self._outer:
            self._outer.kill()
            self._outer.wait()
        restore_settings()
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def run(
        self,
        command: Sequence[str | Path],
        *,
        stdin: str = "",
        environ: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> str:
        """Run a command inside and give what it prints; raise ProgramFailed when it fails and that must not be."""
        done = programs.ended(self.entering(command, environ), stdin=stdin)
        if check and done.returncode:
            programs.fail(subprocess.CompletedProcess([*map(str, command)], done.returncode, done.stdout, done.stderr))
        return done.stdout

    def entering(self, command: Sequence[str | Path], environ: Mapping[str, str] | None = None) -> list[str]:
        """Return the command line that runs a command inside."""
        variables = {
            "HOME": f"{self.folder}/home",
            "KUBECONFIG": f"{self.folder}/kubeconfig",
            "CONTAINERS_CONF": f"{self.folder}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{self.folder}/storage.conf",
            "KIND_EXPERIMENTAL_PROVIDER": "podman",
            **(environ or {}),
        }
        enter = [
            *self._joining(),
            "nsenter",
            "-t",
            self._pid_file.read_text(),
            "-m",
            "-n",
            "-p",
            "-u",
            "-i",
            "-C",
            f"--wd={Path.cwd()}",
        ]
        return [*enter, "env", *(f"{key}={value}" for key, value in variables.items()), *map(str, command)]

    def _script(self) -> str:
        cgroups = "\n".join(hierarchy.mount_command for hierarchy in self._cgroups.hierarchies)
        return _INSIDE.format(cgroups=cgroups, folder=self.folder, name=self.name)

    def _joining(self) -> list[str]:
        """Return the beginning of a command line that is run in the sandbox's cgroups."""
        return joining(self._cgroups.roots)


def remember_settings() -> None:
    """Keep the machine's settings, but those that another sandbox has changed already."""
    known = json.loads(_REMEMBERED.read_text()) if _REMEMBERED.exists() else {}
    if missing := {key: (_PROC_SYS / key).read_text() for key in _SETTINGS if key not in known}:
        new = _REMEMBERED.with_suffix(".new")
        new.write_text(json.dumps({**known, **missing}))
        new.replace(_REMEMBERED)


def raise_settings() -> None:
    """Let a few clusters run side by side: with the kernel's default of 128 a fourth kubelet does not start."""
    path = _PROC_SYS / _INSTANCES
    if int(path.read_text()) < _ENOUGH:
        path.write_text(f"{_ENOUGH}\n")


def restore_settings() -> None:
    """Set them back with the last sandbox."""
    if _REMEMBERED.exists() and not any(_CGROUPS.glob(f"*/{PREFIX}*")) and not any(_CGROUPS.glob(f"{PREFIX}*")):
        for key, value in json.loads(_REMEMBERED.read_text()).items():
            (_PROC_SYS / key).write_text(value)
        _REMEMBERED.unlink()
