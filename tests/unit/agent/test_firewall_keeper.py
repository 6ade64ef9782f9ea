"""The thread that follows the firewall: it wakes its owner, goes on after a failure, and leaves nothing open."""

import threading
from collections.abc import Generator

import pytest

from slash80.agent import firewall_keeper
from slash80.agent.firewall_keeper import FirewallMonitor
from slash80.firewall.monitor import UNKNOWN


class FakeMonitor:
    """Yields what a test puts into `told`; counts how many of its kind are open."""

    told: tuple[str | OSError, ...] = ()
    open = 0

    def __init__(self) -> None:
        type(self).open += 1

    def close(self) -> None:
        """Close it."""
        type(self).open -= 1

    def changes(self) -> Generator[str]:
        """Yield or raise what was put in."""
        for one in self.told:
            if isinstance(one, OSError):
                raise one
            yield one


@pytest.fixture
def monitors(monkeypatch: pytest.MonkeyPatch) -> type[FakeMonitor]:
    """Put the fake in the kernel's place."""
    fake = type("Fake", (FakeMonitor,), {"open": 0})
    monkeypatch.setattr(firewall_keeper, "Monitor", fake)
    monkeypatch.setattr(firewall_keeper, "_AGAIN", 0.001)
    return fake


def _authors(wakes: int) -> list[str]:
    """Return whom a monitor named at each of its first wakes, after which it was stopped and its thread has ended."""
    woken: list[str] = []

    def wake() -> None:
        woken.append(monitor.author)
        if len(woken) == wakes:
            monitor.stop()

    monitor, others = FirewallMonitor(wake), {*threading.enumerate()}
    monitor.start()
    for thread in {*threading.enumerate()} - others:
        thread.join(10)
    return woken


def test_each_change_wakes_and_names_the_program(monitors: type[FakeMonitor]) -> None:
    """One that the kernel does not name leaves the last name as it is."""
    monitors.told = ("nft (process 7)", UNKNOWN)
    assert ["nft (process 7)"] * 2 == _authors(2)


def test_a_monitor_that_fails_is_opened_again_until_it_is_stopped(
    monitors: type[FakeMonitor], caplog: pytest.LogCaptureFixture
) -> None:
    """After the end none is left open; the log says that only the regular look is left meanwhile."""
    monitors.told = ("nft (process 7)", OSError(5, "Input/output error"))
    assert 3 == len(_authors(3))
    assert 0 == monitors.open
    assert "Input/output error; it is looked at every 10 s" in caplog.text
