"""Answers to scrapes: what one collector fails at costs the others nothing, and who asks too often waits."""

import logging
import struct
import threading
from collections.abc import Iterable

import pytest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics

from lab.waiting import wait_until
from slash80.agent.metrics import exposition
from slash80.agent.metrics.exposition import Exposition
from slash80.errors import FirewallUnusable
from unit.agent.metrics.scraped import read

OTHER_VERSION = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


class Counting:
    """Reports how often it was asked; raises `error` instead, if there is one."""

    def __init__(self, name: str) -> None:
        self.name, self.asked = name, 0
        self.error: Exception | None = None

    def collect(self) -> Iterable[Metric]:
        """Tell it."""
        self.asked += 1
        if self.error:
            raise self.error
        yield GaugeMetricFamily(f"slash80_{self.name}", "How often.", value=self.asked)


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.mark.parametrize(
    "error", [FirewallUnusable("no nf_tables"), OSError(5, "no"), KeyError("bug"), struct.error("bug")]
)
def test_what_one_collector_fails_at_hides_no_other_metric(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """A metric says that it failed, and the log why, once and not at each scrape."""
    good, bad, clock = Counting("good"), Counting("bad"), Clock()
    bad.error = error
    answering = Exposition((bad, good), clock=clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clock.now += 60
            status, _, text = answering.answer("")
    found = read(text.decode())
    assert (200, 3) == (status, found.value("good"))
    assert (0, 1) == tuple(found.value("collector_success", collector=name) for name in ("bad", "good"))
    assert not found.series("bad")
    assert 1 == caplog.text.count("the metrics of bad cannot be collected")

    bad.error = None
    clock.now += 60
    assert 1 == read(answering.answer("")[2].decode()).value("collector_success", collector="bad")


def test_who_asks_within_a_second_gets_what_was_found() -> None:
    """Those who ask without a pause cost no more than one collection a second."""
    one, clock = Counting("one"), Clock()
    answering = Exposition((one,), clock=clock)
    texts = set()
    for _ in range(50):
        clock.now += 0.019
        texts.add(answering.answer("")[2])
    assert (1, 1) == (one.asked, len(texts))
    clock.now += 0.1
    answering.answer("")
    assert 2 == one.asked


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4;q=0.3,*/*;q=0.2", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=newest", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ],
)
def test_the_format_is_what_the_scraper_accepts(accept: str, content_type: str) -> None:
    """One that asks for nothing, or for what cannot be a version, gets the oldest format, which all can read."""
    status, given, _ = Exposition((Counting("one"),)).answer(accept)
    assert (200, content_type) == (status, given)


def test_open_metrics_is_given_where_it_is_asked_for() -> None:
    """Prometheus does, and its parser can read what it gets."""
    _, content_type, text = Exposition((Counting("one"),)).answer(OTHER_VERSION)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    told = open_metrics(text.decode())  # type: ignore[no-untyped-call]
    assert {"slash80_collector_success", "slash80_one"} == {one.name for one in told}


class Slow:
    """Goes on when it may."""

    name = "slow"

    def __init__(self) -> None:
        self.begun, self.may_go_on = threading.Semaphore(0), threading.Event()

    def collect(self) -> Iterable[Metric]:
        """Wait."""
        self.begun.release()
        assert self.may_go_on.wait(100)
        return ()


def test_a_few_wait_for_a_collection_and_further_ones_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask meanwhile, no more threads wait, and none of them collects at the same time."""
    monkeypatch.setattr(exposition, "_PATIENCE", 100)
    slow, told = Slow(), list[int]()
    answering = Exposition((slow,))
    threads = [threading.Thread(target=lambda: told.append(answering.answer("")[0])) for _ in range(40)]
    for thread in threads:
        thread.start()
    assert slow.begun.acquire(timeout=100)
    waiting = exposition._AT_ONCE
    wait_until(lambda: len(told) == len(threads) - waiting)
    assert [503] * (len(threads) - waiting) == told
    slow.may_go_on.set()
    for thread in threads:
        thread.join()
    assert [200] * waiting == told[-waiting:]
    assert not slow.begun.acquire(blocking=False)


def test_a_collection_that_hangs_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scraper is told, so that it counts as down instead of as well."""
    monkeypatch.setattr(exposition, "_PATIENCE", 0.01)
    slow = Slow()
    answering = Exposition((slow,))
    hanging = threading.Thread(target=answering.answer, args=[""])
    hanging.start()
    assert slow.begun.acquire(timeout=100)
    assert 503 == answering.answer("")[0]
    slow.may_go_on.set()
    hanging.join()
