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
        """Tell whether so many rounds come within some seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self.rounds >= rounds, 5)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Give a function that sets how long the reaper waits for more."""

    def set_patience(seconds: float) -> None:
        monkeypatch.setattr(reaper, "_SECONDS", seconds)
        monkeypatch.setattr(reaper, "_PATIENCE", seconds)

    return set_patience


def test_what_an_agent_before_left_goes_at_once_and_the_rest_at_the_end(patience: Callable[[float], None]) -> None:
    """Without anything dying there is nothing between the two."""
    patience(60)
    deaths = Deaths()
    reaping = Reaper(deaths.reap)
    reaping.start()

    assert deaths.wait_for(1)
    reaping.stop()
    assert 2 == deaths.rounds


def test_what_dies_goes_after_a_while(patience: Callable[[float], None]) -> None:
    """One is enough."""
    patience(0.01)
    deaths = Deaths()
    reaping = Reaper(deaths.reap)
    reaping.start()
    assert deaths.wait_for(1)
    reaping.queued()

    assert deaths.wait_for(2)
    reaping.stop()


def test_many_are_not_waited_with(patience: Callable[[float], None]) -> None:
    """A full batch goes at once."""
    patience(60)
    deaths = Deaths()
    reaping = Reaper(deaths.reap)
    reaping.start()
    assert deaths.wait_for(1)
    for _ in range(256):
        reaping.queued()

    assert deaths.wait_for(2)
    reaping.stop()


def test_what_failed_is_tried_again(patience: Callable[[float], None], caplog: pytest.LogCaptureFixture) -> None:
    """And told."""
    patience(0.01)
    deaths = Deaths(1)
    reaping = Reaper(deaths.reap)
    reaping.start()

    assert deaths.wait_for(2)
    reaping.stop()
    assert "cannot be deleted: busy; retrying" in caplog.text
