"""The runner's guarantees, on a clock that stands still unless a test moves it."""

import threading
from collections.abc import Callable, Sequence

from slash80.cluster.clock import SystemClock
from slash80.cluster.runner import Pace, Runner, spread
from unit.clocks import ManualClock, SteppedClock

PACE = Pace(minimum=1, maximum=10, retry=2)


class Work:
    """Notes when it ran, and fails as often as it is told to; `during` happens within the first run."""

    def __init__(self, clock: SteppedClock, *, failures: int = 0) -> None:
        self.clock, self.failures, self.runs = clock, failures, list[float]()
        self.during: Callable[[], object] = list
        self.takes = 0.0

    def __call__(self) -> bool:
        """Run."""
        self.runs.append(self.clock.time)
        during, self.during = self.during, list
        during()
        self.clock.time += self.takes
        self.failures -= 1
        return self.failures < 0


def _run(work: Work, steps: int, *, wake_at: Sequence[float] = (), pace: Pace = PACE) -> list[float]:
    runner = Runner("work", work, pace, clock=work.clock, spread=lambda: 1.0)
    for moment in wake_at:
        work.clock.at(moment, runner.wake)
    assert all(runner.step() for _ in range(steps))
    return work.runs


def test_the_first_run_waits_for_nothing() -> None:
    """A runner needs no reason to begin."""
    assert [0] == _run(Work(SteppedClock()), 1)


def test_it_runs_at_least_every_maximum() -> None:
    """The interval begins with the end of a run."""
    work = Work(SteppedClock())
    work.takes = 3
    assert [0, 13, 26] == _run(work, 3)


def test_a_runner_that_is_woken_runs_at_once() -> None:
    """The minimum since the last run is over, so there is nothing to wait for."""
    assert [0, 4, 14] == _run(Work(SteppedClock()), 3, wake_at=[4])


def test_many_wakes_within_the_minimum_are_one_run() -> None:
    """The run comes when the minimum is over, and the next one only after the maximum."""
    assert [0, 1, 11] == _run(Work(SteppedClock()), 3, wake_at=[0.2, 0.3, 0.4])


def test_a_wake_during_a_run_is_not_forgotten() -> None:
    """The run may have read already what has changed, so there is another one after the minimum."""
    clock = SteppedClock()
    work = Work(clock)
    runner = Runner("work", work, PACE, clock=clock)
    work.during = runner.wake
    for _ in range(3):
        runner.step()
    assert [0, 1, 11] == work.runs


def test_a_failure_is_retried_with_backoff_up_to_the_maximum() -> None:
    """The interval doubles with each failure, and begins again at the bottom after a success."""
    assert [0, 2, 6, 14, 24, 34] == _run(Work(SteppedClock(), failures=5), 6)
    assert [0, 2, 12, 22] == _run(Work(SteppedClock(), failures=1), 4)


def test_the_backoff_begins_again_after_a_success() -> None:
    """What fails now and then is retried as soon as what fails for the first time."""
    clock = SteppedClock()
    work = Work(clock, failures=2)
    runner = Runner("work", work, PACE, clock=clock, spread=lambda: 1.0)
    for _ in range(3):
        runner.step()
    work.failures = 1
    for _ in range(2):
        runner.step()
    assert [0, 2, 6, 16, 18] == work.runs


def test_a_runner_that_fails_for_days_still_retries() -> None:
    """The number of failures grows without bound, and the interval does not."""
    clock = SteppedClock()
    runner = Runner("work", Work(clock, failures=5000), PACE, clock=clock, spread=lambda: 1.0)
    for _ in range(3000):
        runner.step()
    before = clock.time
    runner.step()
    assert 10 == clock.time - before


def test_a_wake_shortens_a_retry() -> None:
    """What has changed may be what it failed for."""
    assert [0, 1.5, 11.5] == _run(Work(SteppedClock(), failures=1), 3, wake_at=[1.5])


def test_a_retry_is_never_sooner_than_the_minimum() -> None:
    """Neither a short retry interval nor its random part undercuts the minimum between two runs."""
    assert [0, 5] == _run(Work(SteppedClock(), failures=1), 2, pace=Pace(minimum=5, maximum=10, retry=2))


def test_nodes_that_fail_together_do_not_retry_together() -> None:
    """The interval has a random part, which only shortens it."""
    found = {spread() for _ in range(100)}
    assert len(found) > 90
    assert all(0.5 <= one <= 1.0 for one in found)


def test_idleness_is_counted_from_the_end_of_the_last_run() -> None:
    """A probe sees by it that a runner hangs."""
    clock = SteppedClock()
    runner = Runner("work", Work(clock), PACE, clock=clock)
    clock.time = 5
    assert 5 == runner.idle
    runner.step()
    clock.time = 7
    assert 2 == runner.idle


def test_a_runner_that_was_stopped_does_not_run() -> None:
    """Its loop ends instead, whatever was due."""
    clock = SteppedClock()
    work = Work(clock)
    runner = Runner("work", work, PACE, clock=clock)
    runner.wake()
    runner.stop()
    assert not runner.step()
    assert [] == work.runs


class Gate:
    """Work that goes on when it is let, and that a test can wait for."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self) -> bool:
        """Run."""
        self.entered.release()
        return self.open.acquire(timeout=100)

    def pass_through(self, *, after: Callable[[], object]) -> None:
        """Do something until it runs, and let that run end."""
        after()
        while not self.entered.acquire(timeout=0.01):
            after()
        self.open.release()


def test_stopping_wakes_a_thread_that_waits() -> None:
    """It ends although the maximum is far away, and time does not pass."""
    gate = Gate()
    runner = Runner("work", gate, PACE, clock=ManualClock())
    gate.open.release()
    runner.start()
    assert gate.entered.acquire(timeout=100)
    runner.stop()
    assert runner.join(100)


def test_a_run_that_hangs_is_waited_for_within_bounds() -> None:
    """`join` returns after its limit and reports that the run has not ended; the thread ends when the run does."""
    gate = Gate()
    runner = Runner("work", gate, PACE, clock=ManualClock())
    runner.start()
    assert gate.entered.acquire(timeout=100)
    runner.stop()
    assert not runner.join(0.001)
    gate.open.release()
    assert runner.join(100)


def test_time_and_wakes_reach_the_thread() -> None:
    """The thread runs its work when the maximum is over, and when it is woken although no time has passed."""
    clock, gate = ManualClock(), Gate()
    runner = Runner("work", gate, Pace(minimum=0, maximum=10, retry=1), clock=clock)
    runner.start()
    gate.pass_through(after=list)
    gate.pass_through(after=lambda: clock.advance(10))
    gate.pass_through(after=runner.wake)
    runner.stop()
    assert runner.join(100)


def test_a_runner_that_was_never_started_has_ended() -> None:
    """Ending what began half-way must not wait for it."""
    runner = Runner("work", lambda: True, PACE, clock=SystemClock())
    runner.stop()
    assert runner.join(100)
