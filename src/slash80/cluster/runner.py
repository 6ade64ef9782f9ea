"""Runs a function again and again in a thread of its own, neither too often nor too seldom.

A runner guarantees, as the BoundedFrequencyRunner of Kubernetes' kube-proxy does:

1. At least `minimum` seconds pass between the end of a run and the beginning of the next. A wake-up meanwhile is not
   forgotten, and several of them are one run.
2. The function runs at least every `maximum` seconds, woken or not.
3. After a failure it runs again after `retry` seconds, after twice as many for each further failure, and at most
   `maximum`; or as soon as it is woken.

What a runner does and when does not depend on any other runner: one that hangs delays no other.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from slash80.cluster.clock import Clock

_RANDOM = random.SystemRandom()  # of its own: nodes that were cloned must not agree
_DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between runs; see the module."""

    minimum: float
    maximum: float
    retry: float


def spread() -> float:
    """Return what a retry interval is multiplied by: nodes that failed together must not try again together."""
    return _RANDOM.uniform(0.5, 1.0)


class Runner:
    """Runs `work`, which returns whether it succeeded, at a pace."""

    def __init__(
        self,
        name: str,
        work: Callable[[], bool],
        pace: Pace,
        *,
        clock: Clock[threading.Condition],
        spread: Callable[[], float] = spread,
    ) -> None:
        """Begin with a run as soon as it is started."""
        self.name = name
        self._work, self._pace, self._clock, self._spread = work, pace, clock, spread
        self._bell = threading.Condition()
        self._woken, self._stopping, self._failures = False, False, 0
        self._ended = self._earliest = self._latest = clock.now()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Have it run soon: something has changed."""
        with self._bell:
            self._woken = True
            self._bell.notify_all()

    def stop(self) -> None:
        """Have it end after the run that is going on, if one is."""
        with self._bell:
            self._stopping = True
            self._bell.notify_all()

    def join(self, seconds: float) -> bool:
        """Wait for the thread's end, at most so long; return whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def idle(self) -> float:
        """Seconds since the end of the last run, or since it was made."""
        return self._clock.now() - self._ended

    def step(self) -> bool:
        """Wait until a run is due and run; return whether there may be another one."""
        if not self._is_due():
            return False
        self._run()
        return True

    def _loop(self) -> None:
        while self.step():
            pass

    def _is_due(self) -> bool:
        """Wait until a run is due; return False when it has to end."""
        with self._bell:
            while not self._stopping:
                left = (self._earliest if self._woken else self._latest) - self._clock.now()
                if left <= 0:
                    # before the run: a wake-up during it may tell of what the run has read already
                    self._woken = False
                    return True
                self._clock.wait(self._bell, left)
            return False

    def _run(self) -> None:
        self._failures = 0 if self._work() else self._failures + 1
        self._ended = self._clock.now()
        self._earliest = self._ended + self._pace.minimum
        self._latest = self._ended + self._rest()

    def _rest(self) -> float:
        """Return how long to rest unless it is woken."""
        if not self._failures:
            return self._pace.maximum
        doubled = self._pace.retry * 2.0 ** min(self._failures - 1, _DOUBLINGS)
        return max(min(doubled, self._pace.maximum) * self._spread(), self._pace.minimum)
