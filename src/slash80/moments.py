"""Named moments of ADD, DEL and GC, at which a test can have the process killed or stopped.

Whoever starts the process may name one in SLASH80_MOMENT, as `linked:KILL` or `linked:STOP`: the process sends itself
that signal when it gets there. A runtime never does, and who can set a runtime's environment needs no such means.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum

VARIABLE = "SLASH80_MOMENT"
_SIGNALS = {"KILL": signal.SIGKILL, "STOP": signal.SIGSTOP}


class Moment(StrEnum):
    """What has just been done."""

    LOCKED = "locked"
    RESERVING = "reserving"
    RESERVED = "reserved"
    CLOSED = "closed"
    FORWARDED = "forwarded"
    LINKED = "linked"
    HOST_WIRED = "host-wired"
    POD_WIRED = "pod-wired"
    KEPT = "kept"
    ANSWERED = "answered"
    BURIED = "buried"
    DOOMED = "doomed"
    REAPED = "reaped"
    DETACHED = "detached"
    RELEASED = "released"


_watch: Callable[[Moment], None] | None = None


def reach(moment: Moment) -> None:
    """Tell whoever watches that a moment has come."""
    if _watch:
        _watch(moment)


def watch(watcher: Callable[[Moment], None] | None) -> None:
    """Have every moment of this process told to `watcher`, or to nobody."""
    global _watch  # noqa: PLW0603 -- one per process, as the signals are
    _watch = watcher


def watch_as_told(environ: Mapping[str, str]) -> None:
    """Watch for the moment that the environment names, if it exists."""
    name, _, action = environ.get(VARIABLE, "").partition(":")
    if name not in set(Moment) or action not in _SIGNALS:
        return
    wanted, number = Moment(name), _SIGNALS[action]

    def signal_self(moment: Moment) -> None:
        if moment is wanted:
            # to this thread: sent to the process, another thread may take it, and this one runs on for a while
            signal.pthread_kill(threading.get_ident(), number)

    watch(signal_self)
