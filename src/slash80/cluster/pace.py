"""How long to rest before the API server is asked again: pure, the clock is the caller's.

- Two attempts never begin within `INTERVAL` seconds, however the first one ended: a proxy or an overloaded server that
  ends each watch at once would otherwise get thousands of requests a second from every node.
- After failures in a row the rest is doubled up to `LONGEST`, and cut by up to a half at random, or all nodes that one
  event cut off would come back together.
"""

from __future__ import annotations

import random
from collections.abc import Callable

INTERVAL = 1.0
LONGEST = 30.0
_DOUBLINGS = 16
_RANDOM = random.SystemRandom()  # of its own: nodes that were cloned must not agree


def jitter() -> float:
    """Return what a rest is multiplied by."""
    return _RANDOM.uniform(0.5, 1.0)


class Pace:
    """Counts failures in a row."""

    def __init__(self, jitter: Callable[[], float] = jitter) -> None:
        """Begin with none."""
        self._jitter, self._failures = jitter, 0

    def failed(self) -> None:
        """Rest longer the next time."""
        self._failures += 1

    def succeeded(self) -> None:
        """Begin again with the shortest rest."""
        self._failures = 0

    def rest(self, *, began: float, now: float) -> float:
        """Return the seconds to wait at `now` before an attempt that follows one which began at `began`."""
        interval = max(0.0, began + INTERVAL - now)
        if not self._failures:
            return interval
        doubled = INTERVAL * 2.0 ** min(self._failures - 1, _DOUBLINGS)
        return max(interval, min(doubled, LONGEST) * self._jitter())
