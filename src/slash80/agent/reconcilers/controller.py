"""The agent's part on Kubernetes: the parts put together, each with a runner of its own.

It runs beside the processes that answer calls, so that no watch slows one, and it may die at any instruction: what it
writes is whole or not there, and what it does follows from what is there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from slash80.addressing.family import Prefix
from slash80.agent.firewall_keeper import FirewallMonitor
from slash80.agent.health import Health
from slash80.agent.reconcilers.board import Board
from slash80.agent.reconcilers.cluster_view import ClusterView, Source
from slash80.agent.reconcilers.conflist import Conflist
from slash80.agent.reconcilers.firewall import Firewall
from slash80.agent.reconcilers.node import Node
from slash80.agent.reconcilers.part import Options, Part, Surroundings, attempt
from slash80.agent.reconcilers.report import Report
from slash80.agent.reconcilers.routes import Routes
from slash80.agent.reconcilers.runner import Pace, Runner
from slash80.agent.reconcilers.status import Status
from slash80.cluster.api import Api
from slash80.cluster.clock import Clock, SystemClock
from slash80.cluster.informer import Informer
from slash80.cluster.objects.node import NODES, NodeSeen
from slash80.cluster.objects.servicecidr import SERVICE_CIDRS
from slash80.host.context import STANDALONE, Host
from slash80.settings import network as configuration
from slash80.settings.network import RemovalConf

_LOCAL = Pace(minimum=0.2, maximum=10, retry=1)  # a cluster that starts has many changes at once
_PACES = {"status": Pace(minimum=1, maximum=60, retry=2)}
_WAKES = {
    "node": ("firewall", "routes", "conflist", "status", "report"),
    "firewall": ("conflist", "status", "report"),
    "conflist": ("status", "report"),
    "routes": ("status", "report"),
    "status": ("report",),
}
_END = 10.0  # seconds in which the parts have to end
Opened = Callable[[RemovalConf], AbstractContextManager[Host]]


class Controller:
    """One node's controller."""

    def __init__(
        self,
        options: Options,
        state_dir: Path,
        api: Api,
        *,
        opened: Opened = STANDALONE.opened,
        clock: Clock[threading.Condition] | None = None,
    ) -> None:
        """Put the parts together; nothing is started."""
        conf = configuration.parse(RemovalConf, {"stateDir": str(state_dir)})
        self._runners: dict[str, Runner] = {}
        self._cluster = ClusterView(options.node, _Informers(api, partial(self._wake, ("node", "status", "report"))))
        self._health = Health(options.health, self._idle)
        self._around = Surroundings(options, state_dir, partial(opened, conf), self._cluster, Board(self._changed))
        around, self._monitor = self._around, FirewallMonitor(partial(self._wake, ("firewall",)))
        self._parts: tuple[Part, ...] = (
            Node(around),
            Firewall(around, self._monitor),
            Routes(around),
            Conflist(around),
            Status(around, api),
            Report(around, self._health),
        )
        for part in self._parts:
            work = partial(attempt, part, around)
            pace = _PACES.get(part.name, _LOCAL)
            self._runners[part.name] = Runner(part.name, work, pace, clock=clock or SystemClock())

    def start(self) -> None:
        """Start all parts; raise OSError when the probes' address is taken."""
        self._health.start()
        self._monitor.start()
        for runner in self._runners.values():
            runner.start()

    def stop(self) -> bool:
        """End all parts, and return whether none of them can change the node any more.

        What waits for the API server is not waited for: it changes nothing here.
        """
        self._monitor.stop()
        for runner in self._runners.values():
            runner.stop()
        self._cluster.stop()
        deadline = time.monotonic() + _END
        ended = [runner.join(max(deadline - time.monotonic(), 0)) for runner in self._local]
        return all(ended)

    def look(self) -> None:
        """Have each part do its work once, in the calling thread."""
        for part in self._parts:
            attempt(part, self._around)

    @property
    def _local(self) -> Iterable[Runner]:
        return [runner for runner in self._runners.values() if runner.name != "status"]

    def _idle(self) -> float:
        return max(runner.idle for runner in self._local)

    def _changed(self, part: str) -> None:
        self._wake(_WAKES.get(part, ()))

    def _wake(self, names: Iterable[str]) -> None:
        for name in names:
            self._runners[name].wake()


class _Informers:
    """Makes the lists of objects."""

    def __init__(self, api: Api, changed: Callable[[], None]) -> None:
        self._api, self._changed = api, changed

    def nodes(self, selector: str) -> Source[NodeSeen]:
        return Informer(self._api, NODES, changed=self._changed, selector=selector)

    def service_cidrs(self) -> Source[tuple[Prefix, ...]]:
        return Informer(self._api, SERVICE_CIDRS, changed=self._changed)
