"""Network namespaces: opening one safely, and doing something inside it.

A namespace is entered by a thread of its own that ends afterwards, so there is nothing to come back from and no other
thread ever finds itself elsewhere. Source: setns(2), ioctl_ns(2).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from slash80.errors import BadNetns, Failure
from slash80.netlink import Socket

T = TypeVar("T")
OWN = Path("/proc/thread-self/ns/net")
_CLONE_NEWNET = 0x40000000
_NS_GET_NSTYPE = 0xB703


@contextmanager
def opened(path: str, *, own_allowed: bool = False) -> Iterator[int]:
    """Open the namespace at `path`; hold it no longer than needed, since a descriptor keeps it and its links alive.

    Raise BadNetns when it is none, or the host's own unless that is allowed; Failure when it is not there.
    """
    try:
        # What is not on the namespaces' file system is not opened at all: opening a device or a pipe has effects.
        known = Path(path).stat().st_dev == OWN.stat().st_dev
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if known else -1
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        msg = f"network namespace CNI_NETNS={path!a} cannot be opened: {reason}; the sandbox is gone or was never made"
        raise Failure(msg) from error
    try:
        if descriptor < 0 or not _is_network(descriptor):
            msg = f"CNI_NETNS={path!a} is not a network namespace; give the path of one, such as /run/netns/NAME"
            raise BadNetns(msg)
        if not own_allowed and os.path.samestat(os.fstat(descriptor), OWN.stat()):
            msg = f"CNI_NETNS={path!a} is the host's own network namespace; it gets no pod interface"
            raise BadNetns(msg)
        yield descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _is_network(descriptor: int) -> bool:
    """Whether it is a network namespace; the path may lead to something else since it was looked at."""
    try:
        return fcntl.ioctl(descriptor, _NS_GET_NSTYPE) == _CLONE_NEWNET
    except OSError:
        return False


def refuse_own(path: str) -> None:
    """Raise BadNetns when `path` is the host's own namespace; anything else, also nothing at all, passes."""
    try:
        own = os.path.samestat(Path(path).stat(), OWN.stat())
    except (OSError, ValueError):
        return
    if own:
        msg = f"CNI_NETNS={path!a} is the host's own network namespace; nothing is removed from it"
        raise BadNetns(msg)


def socket_here() -> Socket:
    """Open a netlink socket in the calling thread's namespace, which is the node's."""
    return Socket()


def socket_inside(netns_fd: int) -> Socket:
    """Open a netlink socket inside the namespace, for use from here."""
    return inside(netns_fd, Socket)


def inside(netns_fd: int, action: Callable[[], T]) -> T:
    """Run an action in a thread inside the namespace and give its result, or raise what it raised."""
    results: list[T] = []
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            _setns(netns_fd)
            results.append(action())
        except BaseException as error:  # noqa: BLE001 -- carried over to the calling thread, not handled here
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _setns(netns_fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12
    if libc.setns(netns_fd, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
