"""The thread that writes: it looks at what has changed, writes for as long as the pace allows, and waits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from slash80.cluster.clock import Clock, SystemClock
from slash80.cluster.mistakes import MISTAKES
from slash80.clusterset.differences import Wanted
from slash80.clusterset.documents import Desired, Members
from slash80.clusterset.lists import Lists
from slash80.clusterset.observed import Observed
from slash80.clusterset.problems import Problem, Reason
from slash80.clusterset.records import Name
from slash80.clusterset.writer import Writer

_LONGEST = 10.0  # seconds
_log = logging.getLogger(__name__)


class Writing:
    """Runs a writer. It may wait for a silent API server: nothing else does."""

    def __init__(
        self, writer: Writer, observed: Observed, lists: Lists, *, clock: Clock[threading.Event] | None = None
    ) -> None:
        """Begin when started; nothing is written before `want`."""
        self._writer, self._observed, self._lists = writer, observed, lists
        self._clock = clock or SystemClock()
        self._bell, self._stopping = threading.Event(), False
        self._wanted: tuple[Mapping[Name, Wanted], Members, tuple[Desired, ...]] | None = None
        self._mistakes: list[Problem] = []
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it after the request that is under way."""
        self._stopping = True
        self._bell.set()

    def wake(self) -> None:
        """Have it look soon: what is there has changed."""
        self._bell.set()

    def want(self, wanted: Mapping[Name, Wanted], members: Members, properties: tuple[Desired, ...]) -> None:
        """Have this so, from now on."""
        self._wanted = wanted, members, properties
        self._bell.set()

    @property
    def problems(self) -> list[Problem]:
        """What cannot be written, and why."""
        return [*self._mistakes, *list(self._writer.problems.values()), *self._writer.refused]

    def step(self) -> float:
        """Write what can be written now; return after how many seconds there may be more."""
        taken, self._wanted = self._wanted, None
        if taken:
            self._writer.want(*taken)
        self._writer.changed(self._observed.news(self._lists.shown, self._writer.wanted))
        return min(self._writer.write(), _LONGEST)

    def _run(self) -> None:
        while not self._stopping:
            self._bell.clear()
            rest = _LONGEST
            try:
                rest = self.step()
                self._mistakes = []
            except MISTAKES as error:
                _log.exception("this is a mistake in slash80; please report it")
                why = f"what is imported cannot be written: {type(error).__name__}: {error}"
                self._mistakes = [Problem(Reason.INTERNAL_ERROR, "writer", why)]
            if rest > 0:
                self._clock.wait(self._bell, rest)
