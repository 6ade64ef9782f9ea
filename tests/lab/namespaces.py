"""Network namespaces of the tests' own: made under /run/netns as `ip netns` does, entered by threads.

Leaves to others what is inside them. No namespace but those made here is ever entered or changed.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import re
import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from lab import programs
from lab.waiting import wait_until

P = ParamSpec("P")
T = TypeVar("T")

DIRECTORY = Path("/run/netns")
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 4096, 16384, 1 << 18, 1 << 20
MNT_DETACH = 2
SIOCSIFFLAGS, IFF_UP = 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    """Call the C library and turn its errno into OSError."""
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _mount(source: str, target: str, flags: int) -> None:
    _call("mount", source.encode(), target.encode(), b"none", ctypes.c_ulong(flags), None)


def _in_new_thread(function: Callable[[], T]) -> T:
    """Run `function` in a thread of its own, which takes its namespaces with it when it ends."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(function).result()


def _prepare_directory() -> None:
    """Make /run/netns a shared mount, as `ip netns add` does, so that both tools may work in it."""
    DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        _mount("", str(DIRECTORY), MS_SHARED | MS_REC)
    except OSError:
        _mount(str(DIRECTORY), str(DIRECTORY), MS_BIND | MS_REC)
        _mount("", str(DIRECTORY), MS_SHARED | MS_REC)


def answers(said: str) -> list[list[dict[str, Any]]]:
    """Read what `ip -json -batch` prints: a document for each line that it was asked, without empty entries."""
    decoder, found, rest = json.JSONDecoder(), [], said.strip()
    while rest:
        answer, length = decoder.raw_decode(rest)
        found.append([entry for entry in answer if entry])
        rest = rest[length:].strip()
    return found


def unique_name() -> str:
    """Return the beginning of the names of one test's namespaces; the number is this process's."""
    return f"s80t-{os.getpid()}-{secrets.token_hex(3)}"


@dataclass(frozen=True)
class Namespace:
    """A named network namespace."""

    name: str

    @classmethod
    def create(cls, name: str) -> "Namespace":
        """Make a new, empty namespace and bind it to its name."""
        _prepare_directory()
        namespace = cls(name)
        namespace.path.touch(mode=0o444, exist_ok=False)

        def bind() -> None:
            _call("unshare", CLONE_NEWNET)
            _mount("/proc/thread-self/ns/net", str(namespace.path), MS_BIND)

        _in_new_thread(bind)
        return namespace

    @property
    def path(self) -> Path:
        """The path that goes into CNI_NETNS."""
        return DIRECTORY / self.name

    def delete(self) -> None:
        """Remove the name; the namespace ends with its last user. Repeating it is fine."""
        with contextlib.suppress(OSError):
            _call("umount2", str(self.path).encode(), MNT_DETACH)
        self.path.unlink(missing_ok=True)

    def enter(self) -> None:
        """Have this thread in this namespace from now on."""
        with self.path.open("rb") as file:
            _call("setns", file.fileno(), CLONE_NEWNET)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` inside this namespace; its result or exception comes back here."""
        return self.run_hiding((), lambda: function(*args, **kwargs))

    def run_hiding(self, hidden: Sequence[str], function: Callable[[], T]) -> T:
        """Call `function` inside this namespace, where the files `hidden` cannot be executed meanwhile."""

        def inside() -> T:
            self.enter()
            if hidden:
                _call("unshare", CLONE_NEWNS)
                _mount("", "/", MS_PRIVATE | MS_REC)
            for path in hidden:
                _mount("/dev/null", path, MS_BIND)
            return function()

        return _in_new_thread(inside)

    def command(self, *argv: str, stdin: str = "", check: bool = True) -> str:
        """Run a program inside and give its output; a failure raises with what it said."""
        # The child is forked by the thread that entered the namespace, so no nsenter is needed.
        done = self.run(programs.ended, argv, stdin=stdin)
        if check and done.returncode:
            programs.fail(done)
        return done.stdout

    def raise_loopback(self) -> None:
        """Raise `lo`, without a program: every namespace of every test begins with that."""

        def ioctl() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))  # netdevice(7)

        self.run(ioctl)

    def ip(self, *lines: str) -> None:
        """Run lines of `ip` commands (without the word `ip`) in one go; IPv6 addresses that they add work afterwards.

        That is so for links that are up. Those that the lines raise have no carrier yet: see `links_work`.
        """
        self.command("ip", "-batch", "-", stdin="\n".join(lines) + "\n")
        raises = any(re.fullmatch(r"link set .* up", line) for line in lines)
        if not raises and any(line.startswith("addr add ") and ":" in line for line in lines):
            wait_until(self.links_work)

    def links_work(self, *names: str) -> bool:
        """Report whether these links are up, and no IPv6 address of a link that is up lacks its local route.

        The kernel acknowledges an address first. A work queue of its makes the route, also without duplicate address
        detection, and may have to wait for the rtnl lock (addrconf_dad_work in net/ipv6/addrconf.c). Until then a
        packet to the address is sent on, or dropped.
        """
        links, routes = self.queries("-6", "addr show", "route show table local")
        local = {(route["dst"], route["dev"]) for route in routes}
        return {*names} <= {link["ifname"] for link in links if link["operstate"] == "UP"} and all(
            "tentative" in address or (address["local"], link["ifname"]) in local
            for link in links
            if "LOWER_UP" in link["flags"]
            for address in link["addr_info"]
            if address
        )

    def query(self, words: str) -> list[dict[str, Any]]:
        """Ask `ip -json` something."""
        answer: list[dict[str, Any]] = json.loads(self.command("ip", "-json", *words.split()) or "[]")
        return [entry for entry in answer if entry]

    def queries(self, options: str, *lines: str) -> list[list[dict[str, Any]]]:
        """Ask `ip -json` several things that have their options in common, in one process; return each answer."""
        return answers(self.command("ip", "-json", *options.split(), "-batch", "-", stdin="\n".join(lines) + "\n"))

    def nft(self, script: str) -> str:
        """Feed a script to nft."""
        return self.command("nft", "-f", "-", stdin=script)

    def has_link(self, name: str) -> bool:
        """Report whether a link of this name is there."""
        return any(name == link["ifname"] for link in self.query("link show"))

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Open a socket that stays in this namespace in any process."""
        return self.run(socket.socket, family, kind, protocol)

    def sysctl(self, key: str, value: str | int | None = None) -> str:
        """Read, or write and read, a key below /proc/sys/net, for example `ipv6/conf/all/forwarding`."""
        path = Path("/proc/sys/net") / key

        def access() -> str:
            if value is not None:
                path.write_text(str(value))
            return path.read_text().strip()

        return self.run(access)
