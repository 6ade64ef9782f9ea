"""The reaper: when it deletes, and what it does when that fails."""

import threading
from collections.abc import Callable

import pytest

from slash80.agent.serve import reaper
from slash80.agent.serve.reaper import Reaper
from slash80.errors import Failure


class Deaths:
    """Counts the reaper's rounds; the n-th may fail."""

    def __init__(self, *failing: int) -> None:
        self._failing, self.rounds = failing, 0
        self._changed = threading.Condition()

    def reap(self) -> int:
        """Do one round."""
        with self._changed:
            self.rounds += 1
            self._changed.notify_all()
            if self.rounds in self._failing:
                raise Failure("busy")
        return 1

    def wait_for(self, rounds: int) -> bool:
        """Report whether so many rounds happen before it takes far too long."""
        with self._changed:
            return self._changed.wait_for(lambda: self.rounds >= rounds, 100)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that sets how long the reaper waits for more links."""

    def set_patience(seconds: float) -> None:
        monkeypatch.setattr(reaper, "_SECONDS", seconds)
        monkeypatch.setattr(reaper, "_PATIENCE", seconds)

    return set_patience


def test_reaper_reaps_at_start_and_at_stop(patience: Callable[[float], None]) -> None:
    """Links left by an earlier agent are deleted at once; without deferred links there is no round before the end."""
    patience(60)
    deaths = Deaths()
    reaping = Reaper(deaths.reap)
    reaping.start()

    assert deaths.wait_for(1)
    reaping.stop()
    assert 2 == deaths.rounds


def test_deferred_link_is_reaped_after_the_delay(patience: Callable[[float], None]) -> None:
    """A single deferred link is deleted once the delay is over."""
    patience(0.01)
    deaths = Deaths()
    reaping = Reaper(deaths.reap)
    reaping.start()
    assert deaths.wait_for(1)
    reaping.queued()

    assert deaths.wait_for(2)
    reaping.stop()


def test_full_batch_is_reaped_at_once(patience: Callable[[float], None]) -> None:
    """A full batch of deferred links does not wait for the delay."""
    patience(60)
    deaths = Deaths()
    reaping = Reaper(deaths.reap)
    reaping.start()
    assert deaths.wait_for(1)
    for _ in range(256):
        reaping.queued()

    assert deaths.wait_for(2)
    reaping.stop()


def test_failed_reaping_is_reported_and_retried(
    patience: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    """A round that fails is logged and tried again."""
    patience(0.01)
    deaths = Deaths(1)
    reaping = Reaper(deaths.reap)
    reaping.start()

    assert deaths.wait_for(2)
    reaping.stop()
    assert "cannot be deleted: busy; retrying" in caplog.text
