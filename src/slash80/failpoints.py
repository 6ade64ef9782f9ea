"""Failpoints of ADD, DEL, GC and controller, at which a test can have the process killed or stopped (etcd has gofail).

SLASH80_FAILPOINT names one and a signal, as `linked:KILL` or `linked:STOP`: the process sends itself that signal when
it gets there. A runtime never sets it, and anyone who can set a runtime's environment has easier ways to do harm.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum

VARIABLE = "SLASH80_FAILPOINT"
_SIGNALS = {"KILL": signal.SIGKILL, "STOP": signal.SIGSTOP}


class Failpoint(StrEnum):
    """The step that has just been done."""

    LOCKED = "locked"
    RESERVING = "reserving"
    RESERVED = "reserved"
    DISPATCHED = "dispatched"
    CLOSED = "closed"
    FORWARDED = "forwarded"
    LINKED = "linked"
    HOST_WIRED = "host-wired"
    POD_WIRED = "pod-wired"
    KEPT = "kept"
    ANSWERED = "answered"
    DEFERRED = "deferred"
    TERMINATING = "terminating"
    REAPED = "reaped"
    DETACHED = "detached"
    RELEASED = "released"
    # of the controller's parts `policies` and `revocation`; each is hit where something changes only
    POLICIES_TOLD = "policies-told"
    POLICIES_BEGUN = "policies-begun"
    POLICIES_CHANGING = "policies-changing"
    POLICIES_CHANGED = "policies-changed"
    POLICIES_ENDING = "policies-ending"
    POLICIES_REMOVED = "policies-removed"
    CONNECTIONS_JUDGED = "connections-judged"
    CONNECTIONS_ENDED = "connections-ended"


_watch: Callable[[Failpoint], None] | None = None


def hit(failpoint: Failpoint) -> None:
    """Call the watcher, if there is one."""
    if _watch:
        _watch(failpoint)


def watch(watcher: Callable[[Failpoint], None] | None) -> None:
    """Call `watcher` at every failpoint of this process; None ends that."""
    global _watch  # noqa: PLW0603 -- one per process, as the signals are
    _watch = watcher


def watch_from_environment(environ: Mapping[str, str]) -> None:
    """Send this thread the signal at the failpoint that the environment names; unknown ones are ignored."""
    name, _, action = environ.get(VARIABLE, "").partition(":")
    if name not in set(Failpoint) or action not in _SIGNALS:
        return
    wanted, number = Failpoint(name), _SIGNALS[action]

    def signal_self(failpoint: Failpoint) -> None:
        if failpoint is wanted:
            # to this thread: sent to the process, another thread may take it, and this one runs on for a while
            signal.pthread_kill(threading.get_ident(), number)

    watch(signal_self)
