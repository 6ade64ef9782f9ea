"""Waiting for a condition, bounded: the only way in which tests wait."""

import os
import time
from collections.abc import Callable

PATIENCE = float(os.environ.get("SLASH80_PATIENCE", "1"))  # how much slower this machine may be than a usual one


def wait_until(condition: Callable[[], bool], *, seconds: float = 200.0) -> None:
    """Poll until the condition holds; fail after `seconds`, times the machine's slowness.

    What takes milliseconds may take many seconds on a machine that is busy, and a limit costs nothing while it is kept.
    """
    deadline = time.monotonic() + seconds * PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition did not come true within {seconds * PATIENCE:g} s")
        time.sleep(0.005)
