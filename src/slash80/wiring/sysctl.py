"""Kernel settings under /proc/sys/net of the calling thread's namespace; written only where they are wrong.

/proc/sys may be read-only, and then a setting that is right already must do. Names are joined with '/', since
interface names may hold dots.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from slash80.addressing.family import FAMILIES, Family
from slash80.errors import Failure
from slash80.wiring.procfs import OwnProcfs

_ROOT = Path("/proc/sys/net")
_writable: Path | None = None  # where settings are written, if not there
_own_procfs = OwnProcfs()
_FORWARDING = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}
_ROUTES6 = Path("/proc/thread-self/net/ipv6_route")
_LONGEST = 64  # bytes of a setting read here, a number
_ADVICE = "set it on the node"
# RTF_DEFAULT | RTF_ADDRCONF: what the kernel drops when it begins to forward, in whatever table (rt6_purge_dflt_routers
# in net/ipv6/route.c); /proc/net/ipv6_route shows those of all tables as well.
_LEARNED = 0x0005_0000


def write_below(folder: Path) -> None:
    """Write settings by way of another mount of /proc/sys/net: a container's own cannot be written.

    Whichever mount it is, the kernel gives the settings of the namespace that the calling thread is in.
    """
    global _writable  # noqa: PLW0603 -- a fact about this process, told once before it does anything
    _writable = folder


def present(family: Family) -> bool:
    """Report whether the kernel has the family at all."""
    return os.path.exists(f"{_ROOT}/{_FORWARDING[family.version]}")  # noqa: PTH110 -- as _read


def require(families: tuple[Family, ...]) -> None:
    """Raise Failure when the kernel lacks a family that is configured."""
    for family in FAMILIES:
        if family in families and not present(family):
            msg = (
                f"the kernel has no {family}, but {family.key}.prefixes is configured; "
                f"start the node with {family} or remove the prefixes"
            )
            raise Failure(msg)


def forward(families: tuple[Family, ...], remember: Callable[[str, str], None]) -> None:
    """Let the node forward packets of the families, without losing a default route learned by router advertisement.

    A node that forwards IPv6 drops such routes at once, and accepts new ones only where accept_ra is 2
    (Documentation/networking/ip-sysctl.rst); so that comes first. Before a setting is written, `remember` receives its
    key and its value.
    """
    for family in families:
        if _read(_FORWARDING[family.version]) != "0":
            continue
        keys = [f"ipv6/conf/{name}/accept_ra" for name in _advertised_uplinks()] if family.version == 6 else []
        for key, value in [*((key, "2") for key in keys), (_FORWARDING[family.version], "1")]:
            if (before := _read(key)) != value:
                remember(key, before)
                write(key, value)


def restore(remembered: Iterable[tuple[str, str]]) -> list[str]:
    """Restore what `forward` has set and no one has changed since, forwarding first; return the keys."""
    changed = dict(reversed([*remembered]))  # what was there first is the node's own
    done = []
    for key in sorted(changed, key=lambda key: key not in _FORWARDING.values()):
        ours = "1" if key in _FORWARDING.values() else "2"
        if _read(key) == ours:
            write(key, changed[key])
            done.append("net." + key.replace("/", "."))
    return done


def keeps_from_forwarding(family: Family, name: str) -> str:
    """Name the setting by which packets that come in by a link are not forwarded; empty when they are."""
    keys = [_FORWARDING[family.version], *([f"ipv4/conf/{name}/forwarding"] if family.version == 4 else [])]
    found = next((key for key in keys if _read(key) == "0"), "")
    return f"net/{found}" if found else ""


def guard_host_end(name: str) -> None:
    """Let no pod send the node a router advertisement: with accept_ra 2 as the default the node would follow it.

    The default is read, which a new link gets; looking up the link's own setting for the first time costs three times
    as much.
    """
    if _read("ipv6/conf/default/accept_ra") == "2":
        write(f"ipv6/conf/{name}/accept_ra", "0")


def answer_loopback(name: str) -> None:
    """Let packets with 127.0.0.0/8 leave by a host end, and come in by it where they were translated back.

    Chain `source` drops those that a pod sends there itself.
    """
    write(f"ipv4/conf/{name}/route_localnet", "1")


def enable_ipv6(*links: str, advice: str = _ADVICE) -> None:
    """Switch IPv6 on for links; `default` are those to come."""
    for link in links:
        write(f"ipv6/conf/{link}/disable_ipv6", "0", advice=advice)


def keep_ipv6(name: str) -> None:
    """Let a link keep its IPv6 addresses while it is down, as it keeps those of IPv4; for use inside a pod.

    Raise OSError where that cannot be written.
    """
    key = f"ipv6/conf/{name}/keep_addr_on_down"
    try:
        _own_procfs.write(key, "1")
    except OSError:  # as where nothing may be mounted
        ((_writable or _ROOT) / key).write_text("1")


def write(key: str, value: str, *, advice: str = _ADVICE) -> None:
    """Write a setting unless it is right already; raise Failure naming the key when that cannot be done."""
    if _read(key) == value:
        return
    try:
        ((_writable or _ROOT) / key).write_text(value)
    except OSError as error:
        name = "net." + key.replace("/", ".")
        msg = f"cannot set {name} to {value}: {error.strerror}; {advice}, or let this process write /proc/sys"
        raise Failure(msg) from error


def _advertised_uplinks() -> set[str]:
    """Name the links with an IPv6 default route that the kernel itself learned; a daemon's routes stay anyway."""
    # Columns: 0 destination, 1 its prefix length, 8 flags, all in hex, 9 device (ipv6_route_native_seq_show in
    # net/ipv6/ip6_fib.c).
    fields = (line.split() for line in _ROUTES6.read_text().splitlines())
    return {f[9] for f in fields if f[0] == "0" * 32 and f[1] == "00" and int(f[8], 16) & _LEARNED}


def _read(key: str) -> str:
    # not by pathlib and a text file, which cost 20 us and not 4; every ADD reads six of them
    try:
        descriptor = os.open(f"{_ROOT}/{key}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, _LONGEST).decode().strip()
    except OSError:
        return ""
    finally:
        os.close(descriptor)
