"""The answer to a scrape: what all collectors tell, in the format that the scraper asks for.

Who may ask is anyone on the node, pods with hostNetwork among them. So at most one collection runs at a time and one
begins each second; who asks meanwhile gets what the last one found, and of many who wait most are sent away.
"""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from slash80.cluster.mistakes import MISTAKES
from slash80.errors import CniError

_FRESH = 1.0  # seconds for which what was collected is given to others
_PATIENCE = 5.0  # seconds to wait for a collection that is under way
_AT_ONCE = 4  # scrapes: two of Prometheus that are each other's spare, a person, and one more
# what a mistake in a collector may raise, besides; `struct.error` is not a ValueError
_FAILURES = (AssertionError, CniError, struct.error, *MISTAKES)
_log = logging.getLogger("slash80.metrics")


class Collector(Protocol):
    """What knows some of the metrics. It must wait for no lock that a call needs."""

    name: str

    def collect(self) -> Iterable[Metric]:
        """Return them as they are now."""


class _Collected:
    """What the encoder takes for a registry."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        """Return what was collected."""
        return self._found


class Exposition:
    """Answers scrapes from any number of threads."""

    def __init__(self, collectors: Sequence[Collector], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Collect nothing yet."""
        self._collectors, self._clock = collectors, clock
        self._places, self._collecting = threading.Semaphore(_AT_ONCE), threading.Lock()
        self._found: list[Metric] = []
        self._until = float("-inf")
        self._failed: dict[str, str] = {}

    def answer(self, accept: str) -> tuple[int, str, bytes]:
        """Return status, content type and text for what a scraper accepts (its header `Accept`)."""
        if self._places.acquire(blocking=False):
            try:
                if self._collecting.acquire(timeout=_PATIENCE):
                    try:
                        return self._encoded(accept)
                    finally:
                        self._collecting.release()
            finally:
                self._places.release()
        return 503, "text/plain", b"others are being answered; ask again\n"

    def collect(self) -> list[Metric]:
        """Return what all collectors tell; what one of them fails at is missing, and a metric says so."""
        told = GaugeMetricFamily(
            "slash80_collector_success",
            "Whether metrics of this group could be collected; 0 where not, and the agent's log says why.",
            labels=["collector"],
        )
        found: list[Metric] = [told]
        for one in self._collectors:
            problem = ""
            try:
                found += list(one.collect())
            except _FAILURES as error:
                problem = f"{type(error).__name__}: {error}"
            told.add_metric([one.name], not problem)
            self._tell(one.name, problem)
        return found

    def _encoded(self, accept: str) -> tuple[int, str, bytes]:
        if self._clock() >= self._until:
            self._found = self.collect()
            self._until = self._clock() + _FRESH
        try:
            encode, content_type = choose_encoder(accept)
        except MISTAKES:  # a version that is not numbers
            encode, content_type = choose_encoder("")
        return 200, content_type, encode(_Collected(self._found))

    def _tell(self, name: str, problem: str) -> None:
        """Write to the log what is wrong when that changes, and not at each scrape."""
        before = self._failed.get(name, "")
        if problem and problem != before:
            _log.warning("the metrics of %s cannot be collected: %s; the others are told", name, problem)
        self._failed[name] = problem
