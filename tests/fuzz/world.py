"""Where the fuzz target runs: network namespaces without names and a file system that cannot be written.

The process moves into them itself, so whatever becomes of it, the kernel takes everything away with it.
"""

import ctypes
import os
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.cases import Case
from lab import programs
from lab.namespaces import CLONE_NEWNET, CLONE_NEWNS, MS_BIND, MS_PRIVATE, MS_REC, _call
from lab.state import attachments, held_addresses

MS_RDONLY, MS_REMOUNT = 1, 32
_UPLINK = """link set lo up
link add up0 type veth peer name up1
addr add 192.0.2.2/28 dev up0
addr add 2001:db8:0:1::2/64 dev up0 nodad
link set up0 up
link set up1 up
route add default via 192.0.2.1
route add default via 2001:db8:0:1::1
"""


@dataclass
class World:
    """A node with one sandbox; `writable` is the only directory that can be written, beside a fresh /run."""

    writable: Path
    pod: str = field(init=False)
    state: Path = field(default=Path("/run/slash80-fuzz"), init=False)

    def __post_init__(self) -> None:
        _call("unshare", CLONE_NEWNET | CLONE_NEWNS)
        _protect(self.writable)
        programs.run(["ip", "-batch", "-"], stdin=_UPLINK)
        self.pod = _sandbox()

    def place(self, case: Case) -> Case:
        """Return the case with this world's sandbox and state directory."""
        return case.placed(self.pod, str(self.state))

    def assert_empty(self) -> None:
        """Demand that there is no link of a pod, no attachment and no held address."""
        links = {name for _, name in socket.if_nameindex()}
        assert links == {"lo", "up0", "up1"}, f"links are left: {links}"
        assert (attachments(self.state), held_addresses(self.state)) == (0, 0), "rows are left"


def _sandbox() -> str:
    """Return the path of a namespace that lives as long as this process, in the hands of a thread."""
    ready = threading.Event()
    found: list[str] = []

    def stay() -> None:
        _call("unshare", CLONE_NEWNET)
        found.append(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net")
        ready.set()
        threading.Event().wait()

    threading.Thread(target=stay, daemon=True).start()
    ready.wait()
    return found[0]


def _protect(writable: Path) -> None:
    """Make all file systems read-only in this mount namespace, except /proc, a fresh /run and one directory."""
    _mount("", "/", MS_PRIVATE | MS_REC)
    _mount(str(writable), str(writable), MS_BIND)
    kept = {"/proc", "/proc/sys/net", str(writable)}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        target = line.split()[1].encode().decode("unicode_escape")
        if target not in kept:
            _mount("", target, MS_REMOUNT | MS_BIND | MS_RDONLY, strict=False)
    _mount("", "/run", 0, kind="tmpfs")


def _mount(source: str, target: str, flags: int, *, kind: str = "none", strict: bool = True) -> None:
    try:
        _call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None)
    except OSError:
        if strict:
            raise
