"""Keeps the node's table in place between calls: the kernel tells of changes, and it is looked at in any case."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from slash80.addressing.family import Prefix
from slash80.cluster.clock import SystemClock
from slash80.cluster.runner import Pace, Runner
from slash80.errors import CniError
from slash80.firewall.messages import changes_skeleton
from slash80.firewall.monitor import TOGETHER, UNKNOWN, Monitor
from slash80.host import node_facts, pod_elements
from slash80.host.context import Host
from slash80.host.repair import Expected, repair

_PACE = Pace(minimum=0.2, maximum=10, retry=1)
_AGAIN = 10.0  # seconds after which a monitor that failed is begun again; the table is looked at as often
_READS = 3  # of what the kernel tells; ADDs wait meanwhile
_END = 5.0
_log = logging.getLogger("slash80.firewall")


class FirewallMonitor:
    """A thread that calls `wake` when another program has changed the table, and knows which one it was.

    Which table that is `changes` says, by notifications; `seen` is called before with the generation of each change,
    and says whether to wake for it.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        *,
        changes: Callable[[int, bytes], bool] = changes_skeleton,
        seen: Callable[[int], bool] = lambda _: True,
    ) -> None:
        """Do nothing until it is started."""
        self._wake, self._changes, self._seen, self._author = wake, changes, seen, UNKNOWN
        self._monitor: Monitor | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Follow the table of the calling thread's network namespace from now on; the thread ends with the process."""
        self._monitor = self._opened()
        threading.Thread(target=self._work, name="firewall-monitor", daemon=True).start()

    def stop(self) -> None:
        """Call `wake` no more."""
        self._stopping.set()

    def author(self, generation: int) -> str:
        """Return the program that changed the table last up to a generation, as far as the kernel told.

        It may have told already what was not read yet, which is waited for, or the program before would be blamed.
        """
        for _ in range(_READS):
            if self._monitor is None or self._monitor.generation >= generation:
                break
            self._stopping.wait(TOGETHER)
        return self._author

    def _opened(self) -> Monitor | None:
        try:
            return Monitor(self._changes)
        except OSError as error:
            _log.warning("changes of the firewall cannot be followed: %s; it is looked at every 10 s", error)
            return None

    def _work(self) -> None:
        while True:
            if self._monitor:
                self._follow(self._monitor)
            self._monitor = None
            if self._stopping.wait(_AGAIN):
                return
            self._monitor = self._opened()

    def _follow(self, monitor: Monitor) -> None:
        try:
            for author in monitor.changes():
                if self._stopping.is_set():
                    return
                self._author = author or self._author
                if not monitor.changed_at or self._seen(monitor.changed_at):
                    self._wake()
        except OSError as error:
            _log.warning("the kernel tells no more of changes of the firewall: %s; it is looked at every 10 s", error)
        finally:
            monitor.close()


class FirewallKeeper:
    """What an agent without Kubernetes keeps: the table that the last call put in place."""

    def __init__(self, opened: Callable[[], AbstractContextManager[Host]]) -> None:
        """Do nothing until it is started; `opened` hands out the calling thread's sockets and the store."""
        self._opened, self._expected = opened, Expected()
        self._runner = Runner("firewall", self.reconcile, _PACE, clock=SystemClock())
        self._monitor = FirewallMonitor(self._runner.wake)

    def start(self) -> None:
        """Start looking."""
        self._monitor.start()
        self._runner.start()

    def stop(self) -> bool:
        """End, and return whether it can change the node no more."""
        self._monitor.stop()
        self._runner.stop()
        return self._runner.join(_END)

    def reconcile(self) -> bool:
        """Put the table back if it is not what it was; return whether that went well."""
        try:
            with self._opened() as host:
                put_back(host, self._expected, self._monitor.author)
                fill(host)
        except (CniError, OSError) as error:
            _log.warning("the firewall cannot be put back: %s; it is tried again", error)
            return False
        return True


def put_back(host: Host, expected: Expected, author: Callable[[int], str]) -> bool:
    """Put the table back if it is not what it was, say in the log what was found, and return whether it had to be.

    Raise what `repair` raises.
    """
    if found := repair(host, expected, author):
        _log.warning("pods were open until the firewall was put back: %s; have that program leave it alone", found)
    return bool(found)


def fill(host: Host, prefixes: Iterable[Prefix] = ()) -> int:
    """Have the table say of pods and of the node what is so; `prefixes` are known to be the node's own.

    Return how many elements of pods were missing or left over.
    """
    if changed := pod_elements.reconcile(host):
        _log.info("%d of the firewall's elements of pods were missing or left over", changed)
    if node_facts.reconcile(host, prefixes):
        _log.info("the node's own prefixes, addresses and routes have changed, and the firewall has them again")
    return changed
