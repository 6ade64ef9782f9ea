"""Network namespaces: opening one safely, and doing something inside it.

A namespace is entered by the calling thread, which no other thread notices, for as long as it takes to open a socket or
to read a setting. With a thread of its own for that it costs 60 us instead of 4, and two more turns of Python's lock.
Source: setns(2), ioctl_ns(2).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from slash80.errors import BadNetns, Failure
from slash80.netlink.socket import Socket

T = TypeVar("T")
OWN = "/proc/thread-self/ns/net"
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12
_NS_GET_NSTYPE = 0xB703


@contextmanager
def opened(path: str, *, own_allowed: bool = False, handed: int | None = None) -> Iterator[int]:
    """Open the namespace at `path`; hold it no longer than needed, since a descriptor keeps it and its links alive.

    One that was `handed` over is only looked at, and stays the caller's.

    Raise BadNetns when it is not a network namespace, or the host's own unless that is allowed; Failure without it.
    """
    if handed is not None:
        _refuse(path, handed, own_allowed=own_allowed)
        yield handed
        return
    try:
        # What is not on the namespaces' file system is not opened at all: opening a device or a pipe has effects.
        known = Path(path).stat().st_dev == _own().st_dev
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if known else -1
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        msg = f"network namespace CNI_NETNS={path!a} cannot be opened: {reason}; the sandbox is gone or was never made"
        raise Failure(msg) from error
    try:
        _refuse(path, descriptor, own_allowed=own_allowed)
        yield descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _refuse(path: str, descriptor: int, *, own_allowed: bool) -> None:
    """Raise BadNetns for what is not a network namespace, or is the host's own."""
    if descriptor < 0 or not _is_network(descriptor):
        msg = f"CNI_NETNS={path!a} is not a network namespace; give the path of one, such as /run/netns/NAME"
        raise BadNetns(msg)
    if not own_allowed and is_own(descriptor):
        msg = f"CNI_NETNS={path!a} is the host's own network namespace; it gets no pod interface"
        raise BadNetns(msg)


def _own() -> os.stat_result:
    return os.stat(OWN)  # noqa: PTH116 -- pathlib's takes three times as long, and each call comes here


def _is_network(descriptor: int) -> bool:
    """Report whether it is a network namespace; the path may lead to something else since it was looked at."""
    try:
        return fcntl.ioctl(descriptor, _NS_GET_NSTYPE) == _CLONE_NEWNET
    except OSError:
        return False


def is_own(descriptor: int) -> bool:
    """Report whether a descriptor is that of the host's own namespace."""
    return os.path.samestat(os.fstat(descriptor), _own())


def socket_here() -> Socket:
    """Open a netlink socket in the calling thread's namespace, which is the node's, and keep that open with it."""
    opened = Socket()
    try:
        opened.namespace = _open_own()
    except OSError:
        opened.close()
        raise
    return opened


def socket_inside(netns_fd: int, own: int | None = None) -> Socket:
    """Open a netlink socket inside the namespace, for use from here; `own` is as for `inside`."""
    return inside(netns_fd, Socket, own)


def new() -> int:
    """Return the descriptor of a new network namespace, which ends with its last descriptor or socket."""
    own = _open_own()
    try:
        if _LIBC.unshare(_CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, f"no network namespace can be made: {os.strerror(code)}")
        try:
            return _open_own()
        finally:
            _come_back(own)
    finally:
        os.close(own)


def inside(netns_fd: int, action: Callable[[], T], own: int | None = None) -> T:
    """Run an action inside the namespace and come back; `own` is the namespace of the calling thread, if it is open.

    Opening that costs 12 us, and an ADD comes here twice.
    """
    home = _open_own() if own is None else own
    try:
        _setns(netns_fd)
        try:
            return action()
        finally:
            _come_back(home)
    finally:
        if own is None:
            os.close(home)


def _open_own() -> int:
    return os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)


def _come_back(own: int) -> None:
    try:
        _setns(own)
    except OSError:
        os.abort()  # or this thread would do the node's work inside a pod; the next call cleans up after a killed one


def _setns(netns_fd: int) -> None:
    if _LIBC.setns(netns_fd, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
