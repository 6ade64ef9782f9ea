"""What time it is, and waiting for it to pass: by the kernel's clock, or in tests by one that they move."""

from __future__ import annotations

import threading
import time
from typing import Protocol, TypeVar

Bell_contra = TypeVar("Bell_contra", contravariant=True)


class Clock(Protocol[Bell_contra]):
    """A clock whose waiting ends early when a bell rings."""

    def now(self) -> float:
        """Return seconds since some moment."""

    def wait(self, bell: Bell_contra, seconds: float) -> None:
        """Wait until the bell rings or so many seconds have passed; it may return early. A condition is held."""


class SystemClock:
    """The kernel's monotonic clock, which cannot be set."""

    def now(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def wait(self, bell: threading.Condition | threading.Event, seconds: float) -> None:
        """Wait until the bell rings or so many seconds have passed."""
        bell.wait(seconds)
