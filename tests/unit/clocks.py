"""Clocks for tests: time passes only when a test says so, and no test waits for it."""

import threading
from collections.abc import Callable


class SteppedClock:
    """For one thread: waiting takes no time, and what is planned happens at its moment meanwhile."""

    def __init__(self) -> None:
        self.time = 0.0
        self._planned: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        """Return the time."""
        return self.time

    def at(self, moment: float, happens: Callable[[], None]) -> None:
        """Plan something."""
        self._planned = sorted([*self._planned, (moment, happens)], key=lambda plan: plan[0])

    def wait(self, bell: threading.Condition, seconds: float) -> None:
        """Let time pass until the next thing that is planned, or the end of the wait."""
        if self._planned and self._planned[0][0] <= self.time + seconds:
            self.time, happens = self._planned.pop(0)
            happens()
        else:
            self.time += seconds


class ManualClock:
    """For several threads: each sleeps until the test lets time pass, or wakes it."""

    def __init__(self) -> None:
        self._time = 0.0
        self._waiting: dict[threading.Condition, int] = {}

    def now(self) -> float:
        """Return the time."""
        return self._time

    def wait(self, bell: threading.Condition, seconds: float) -> None:
        """Sleep until the bell is rung; that time has passed rings it as well."""
        deadline = self._time + seconds
        self._waiting[bell] = 1
        if self._time < deadline:
            bell.wait()

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake those that wait."""
        self._time += seconds
        for bell in [*self._waiting]:
            with bell:
                bell.notify_all()
