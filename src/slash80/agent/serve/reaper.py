"""Deleting what was put aside, in batches: the wait for RCU is the same for a hundred links as for one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from slash80.errors import CniError

_ENOUGH = 256  # links that are deleted without waiting for more: the kernel's rtnl lock is held 0.4 ms for each
_SECONDS = 3.0  # that the first one waits for others; its address has to rest for longer anyway
_PATIENCE = 5.0  # before what failed is tried again
_log = logging.getLogger(__name__)


class Reaper:
    """A thread that calls `reap`, which deletes all links that wait for it and returns how many."""

    def __init__(self, reap: Callable[[], int]) -> None:
        """Begin when started, and then at once: the agent before may have left something."""
        self._reap = reap
        self._changed = threading.Condition()
        self._waiting, self._stopping = 1, False
        self._thread = threading.Thread(target=self._work, name="reaper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def queued(self) -> None:
        """Note that one more link waits for its deletion."""
        with self._changed:
            self._waiting += 1
            if self._waiting in {1, _ENOUGH}:
                self._changed.notify()

    def failed(self, host_ifname: str, reason: Exception) -> None:
        """Log that a link's deletion could not be deferred, so it was deleted at once."""
        _log.warning("the deletion of %s could not be deferred, so it was deleted at once: %s", host_ifname, reason)

    def stop(self) -> None:
        """Delete what is left, and return."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        patience = 0.0
        while not self._stopped(patience):
            patience = _SECONDS if self._try() else _PATIENCE
        self._try()

    def _stopped(self, patience: float) -> bool:
        """Wait for the first, then for enough or for `patience` seconds; return whether it is time to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            self._changed.wait_for(lambda: self._waiting >= _ENOUGH or self._stopping, patience)
            return self._stopping

    def _try(self) -> bool:
        with self._changed:
            self._waiting, waiting = 0, self._waiting
        try:
            count = self._reap()
        except (CniError, OSError) as error:
            _log.warning("links that wait for their deletion cannot be deleted: %s; retrying", error)
            with self._changed:
                self._waiting += waiting
            return False
        _log.debug("%d links deleted", count)
        return True
