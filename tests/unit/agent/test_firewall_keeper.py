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

    def __init__(self, _: object) -> None:
        type(self).open += 1
        self.generation = self.changed_at = 0

    def close(self) -> None:
        """Close it."""
        type(self).open -= 1

    def changes(self) -> Generator[str]:
        """Yield or raise what was put in."""
        for one in self.told:
            if isinstance(one, OSError):
                raise one
            self.changed_at = self.generation + 1 if one else 0
            yield one
            self.generation += 1


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
        woken.append(monitor.author(0))
        if len(woken) == wakes:
            monitor.stop()

    monitor, others = FirewallMonitor(wake), {*threading.enumerate()}
    monitor.start()
    for thread in {*threading.enumerate()} - others:
        thread.join(100)
    return woken


def test_changes_are_told_before_the_wake(monitors: type[FakeMonitor]) -> None:
    """Who is woken can ask by then which commits there were, and sleeps through its own; silence adds nothing."""
    monitors.told = ("nft (process 7)", "", "nft (process 8)", "nft (process 9)", "", OSError(5, "Input/output error"))
    seen: list[int] = []
    woken: list[list[int]] = []

    def see(generation: int) -> bool:
        seen.append(generation)
        return generation != 4

    def wake() -> None:
        woken.append([*seen])
        if len(woken) == 4:
            monitor.stop()

    monitor, others = FirewallMonitor(wake, seen=see), {*threading.enumerate()}
    monitor.start()
    for thread in {*threading.enumerate()} - others:
        thread.join(100)

    assert [[1], [1], [1, 3], [1, 3, 4]] == woken


def test_each_change_wakes_and_names_the_program(monitors: type[FakeMonitor]) -> None:
    """One that the kernel does not name leaves the last name as it is."""
    monitors.told = ("nft (process 7)", UNKNOWN)
    assert ["nft (process 7)"] * 2 == _authors(2)


def test_the_program_is_that_of_the_change_that_was_found(
    monitors: type[FakeMonitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kernel told and was not read yet is waited for, or the program before would be blamed."""
    found: list[str] = []
    told = threading.Event()

    def changes(fake: FakeMonitor) -> Generator[str]:
        yield "loader (process 3)"
        fake.generation = 1
        told.wait(100)
        yield "nft (process 7)"
        fake.generation = 2

    monkeypatch.setattr(firewall_keeper, "TOGETHER", 0.001)
    monkeypatch.setattr(firewall_keeper, "_READS", 10_000)
    monkeypatch.setattr(monitors, "changes", changes)
    monitor = FirewallMonitor(lambda: None)
    monitor.start()
    found.append(monitor.author(1))
    asking = threading.Thread(target=lambda: found.append(monitor.author(2)))
    asking.start()
    told.set()
    asking.join(100)
    monitor.stop()
    assert ["loader (process 3)", "nft (process 7)"] == found


def test_a_kernel_that_tells_nothing_is_waited_for_within_reason(
    monitors: type[FakeMonitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change from before the monitor began has no author."""
    monkeypatch.setattr(firewall_keeper, "TOGETHER", 0.001)
    monitors.told = ()
    monitor = FirewallMonitor(lambda: None)
    monitor.start()
    assert UNKNOWN == monitor.author(5)
    monitor.stop()


def test_a_monitor_that_fails_is_opened_again_until_it_is_stopped(
    monitors: type[FakeMonitor], caplog: pytest.LogCaptureFixture
) -> None:
    """After the end none is left open; the log says that only the regular look is left meanwhile."""
    monitors.told = ("nft (process 7)", OSError(5, "Input/output error"))
    assert 3 == len(_authors(3))
    assert 0 == monitors.open
    assert "Input/output error; it is looked at every 10 s" in caplog.text
