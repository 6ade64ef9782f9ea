"""What has changed since the subscriber last asked, in bounded memory: the informer never waits for a subscriber."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from slash80.cluster.cache import Change

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Changes(Generic[T]):
    """One change for each key. With `everything` they are not all: then all objects have to be looked at."""

    everything: bool
    changes: tuple[Change[T], ...] = ()


class Subscription(Generic[T]):
    """The changes of an informer for one listener, who is woken and takes them when it suits it."""

    def __init__(self, wake: Callable[[], None], limit: int) -> None:
        """Begin with everything."""
        self.wake = wake
        self._limit = limit
        self._pending: dict[str, Change[T]] = {}
        self._everything = True
        self._lock = threading.Lock()

    def take(self) -> Changes[T]:
        """Return what has changed since the last time, without waiting.

        Of an object that has changed several times there is one change, from the first state to the last; one that came
        and went meanwhile is left out.
        """
        with self._lock:
            taken = Changes(self._everything, tuple(self._pending.values()))
            self._pending, self._everything = {}, False
        return taken

    def add(self, changes: Iterable[Change[T]]) -> None:
        """Note changes; where they become too many, that everything has to be looked at."""
        with self._lock:
            if self._everything:
                return
            for change in changes:
                self._merge(change)
            if len(self._pending) > self._limit:
                self._pending, self._everything = {}, True

    def _merge(self, change: Change[T]) -> None:
        before = self._pending.pop(change.key, None)
        merged = Change(change.key, before.old, change.new) if before else change
        if merged.old is not None or merged.new is not None:
            self._pending[change.key] = merged
