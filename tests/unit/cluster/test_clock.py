"""The clock by which informers and runners wait."""

import threading

from slash80.cluster.clock import SystemClock


def test_waiting_by_the_kernels_clock_ends_when_the_bell_rings() -> None:
    """An event that is set ends the wait, and time goes on meanwhile."""
    clock, stopping = SystemClock(), threading.Event()
    stopping.set()
    before = clock.now()
    clock.wait(stopping, 60)

    assert before <= clock.now() < before + 60
