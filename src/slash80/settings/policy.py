"""`policy.json`: what the controller tells the processes that answer calls about the cluster's namespaces.

The agent on Kubernetes writes it by rename into the state directory, mode 0600, whenever that changes. It names the
namespaces whose pods a NetworkPolicy isolates, and those whose pods may open ports. Keys that this version does not
know are ignored.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

NAME = "policy.json"
_VERSION = 1
_BYTES = 2 << 20
_MOST = 10_000  # namespaces in a list, whose names have 63 characters at most
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class PolicyFile(NamedTuple):  # every call loads this, and a frozen dataclass takes three times as long to make
    """What the file says: whether NetworkPolicies are enforced, and in which namespaces there are any.

    `enforced` is None in a file of an agent that knew of no policies. `isolated` is None for all namespaces, where they
    were too many to be listed. `may_expose` is None where labels do not decide that, or are not known yet.
    """

    enforced: bool | None
    isolated: frozenset[str] | None
    may_expose: frozenset[str] | None = None

    def isolates(self, namespace: str) -> bool:
        """Report whether a pod of the namespace is closed until its own policies are in force."""
        return self.enforced is not False and (self.isolated is None or namespace in self.isolated)


def document(*, enforced: bool, isolated: Iterable[str], may_expose: Iterable[str] | None) -> dict[str, Any]:
    """Return the document, with as many of the namespaces as a reader takes, in their order.

    Of those that may expose the others are left out. Of too many isolated ones none can be: then all namespaces are.
    """
    names = sorted(isolated)
    found = {"version": _VERSION, "boot": _boot(_BOOT_ID), "enforced": enforced}
    found["isolated"] = names if len(names) <= _MOST else None
    return found if may_expose is None else found | {"mayExpose": sorted(may_expose)[:_MOST]}


def read(state_dir: Path) -> PolicyFile | None:
    """Return what the file says, read once for each file; None for one that is missing or not to be believed.

    Of another user's file, of one that others may write, of one that cannot be understood and of one from before the
    node's last boot nothing is believed: what it would open stays closed until the controller has written its own.
    """
    path = f"{state_dir}/{NAME}"
    try:
        # each ADD comes here: pathlib's takes three times as long
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116
        # a change of owner or mode changes st_ctime only
        identity = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        return _read(path, _BOOT_ID, identity)
    except OSError:
        return None


def may_expose(state_dir: Path) -> frozenset[str] | None:
    """Return the namespaces whose pods may open ports; None while that is not known."""
    found = read(state_dir)
    return found.may_expose if found else None


@lru_cache(maxsize=2)
def _read(path: str, boot_id: Path, _: object) -> PolicyFile | None:
    """Read the file; raise OSError, which may not last and so is not cached."""
    try:
        return _parsed(_text(path), _boot(boot_id))
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _text(path: str) -> str:
    """Return the text of a file that only this user can have written; raise OSError or ValueError."""
    # Nothing that would block, and no link to a file of another user's choice.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise ValueError(NAME)
        raw = file.read(_BYTES + 1)
    if len(raw) > _BYTES:
        raise ValueError(NAME)
    return raw.decode()


def _parsed(text: str, boot: str) -> PolicyFile:
    found = json.loads(text)
    if found["version"] != _VERSION or found["boot"] != boot:
        raise ValueError(NAME)
    if not {"enforced", "isolated"} & found.keys():
        return PolicyFile(None, None, _names(found["mayExpose"]))
    enforced, isolated, exposing = found["enforced"], found["isolated"], found.get("mayExpose")
    if not isinstance(enforced, bool):
        raise TypeError(NAME)
    return PolicyFile(enforced, _names(isolated), _names(exposing))


def _names(listed: object) -> frozenset[str] | None:
    if listed is None:
        return None
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise TypeError(NAME)
    return frozenset(listed)


def _boot(boot_id: Path) -> str:
    return boot_id.read_text(encoding="ascii").strip()
