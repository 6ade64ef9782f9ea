"""The agent's part on Kubernetes: the parts put together, each with a runner of its own.

It runs beside the processes that answer calls, so that no watch slows one, and it may die at any instruction: what it
writes is whole or not there, and what it does follows from what is there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from slash80.addressing.family import Prefix
from slash80.agent.call_counts import CallCounts
from slash80.agent.firewall_keeper import FirewallMonitor
from slash80.agent.health import Health, Metrics
from slash80.agent.policy_gate import PolicyGate
from slash80.agent.reconcilers.board import Board
from slash80.agent.reconcilers.cluster_view import OF_NODE, ClusterView, Followed, Source
from slash80.agent.reconcilers.conflist import Conflist
from slash80.agent.reconcilers.expose import Expose
from slash80.agent.reconcilers.firewall import Firewall
from slash80.agent.reconcilers.node import Node
from slash80.agent.reconcilers.part import Options, Part, Surroundings, attempt
from slash80.agent.reconcilers.policies import Enforcement, Policies, Revocation, Waiting
from slash80.agent.reconcilers.report import Report
from slash80.agent.reconcilers.routes import Routes
from slash80.agent.reconcilers.status import Status
from slash80.agent.shared import Shared
from slash80.cluster.api import Api
from slash80.cluster.clock import Clock, SystemClock
from slash80.cluster.informer import Informer
from slash80.cluster.objects.configmap import CONFIG_MAPS
from slash80.cluster.objects.namespace import EXPOSING_NAMESPACES
from slash80.cluster.objects.node import NODES, NodeSeen
from slash80.cluster.objects.selected import NAMESPACES, NETWORK_POLICIES, PODS, RUNNING
from slash80.cluster.objects.servicecidr import SERVICE_CIDRS
from slash80.cluster.runner import Pace, Runner
from slash80.settings import network as configuration
from slash80.settings.network import RemovalConf

if TYPE_CHECKING:
    from slash80.agent.reconcilers.policy_keeper import PolicyKeeper
    from slash80.policy.model import Namespace, Pod, Policy

_LOCAL = Pace(minimum=0.2, maximum=10, retry=1)  # a cluster that starts has many changes at once
_PACES = {
    "status": Pace(minimum=1, maximum=60, retry=2),
    "policies": Pace(minimum=0.1, maximum=10, retry=1),  # what changes meanwhile is one change of the table
    "waiting": Pace(minimum=0, maximum=10, retry=0.1),
    "revocation": Pace(minimum=0.5, maximum=10, retry=1),
}
_WAKES = {
    "node": ("policies", "firewall", "routes", "expose", "conflist", "status", "report"),
    "policies": ("node", "report"),
    "waiting": ("report",),
    "revocation": ("report",),
    "firewall": ("conflist", "status", "report"),
    "conflist": ("status", "report"),
    "routes": ("status", "report"),
    "expose": ("report",),
    "status": ("report",),
}
_END = 10.0  # seconds in which the parts have to end
MakeKeeper = Callable[..., "PolicyKeeper"]


class Controller:
    """One node's controller."""

    def __init__(
        self,
        options: Options,
        state_dir: Path,
        api: Api,
        *,
        shared: Shared | None = None,
        make_keeper: MakeKeeper | None = None,
        clock: Clock[threading.Condition] | None = None,
    ) -> None:
        """Put the parts together; nothing is started."""
        conf, shared = configuration.parse(RemovalConf, {"stateDir": str(state_dir)}), shared or Shared()
        self._runners: dict[str, Runner] = {}
        changed = partial(self._wake, ("node", "status", "report"))
        exposing = partial(self._wake, ("expose", "report"))
        informers = _Informers(api, options.node, changed, exposing=exposing, policies=self._policies_changed)
        self._cluster = ClusterView(options.node, informers)
        self._around = Surroundings(
            options, state_dir, partial(shared.opened, conf), self._cluster, Board(self._changed)
        )
        around, self._monitor = self._around, FirewallMonitor(partial(self._wake, ("firewall",)))
        self._gate = PolicyGate(state_dir, partial(self._wake, ("waiting",)))
        enforcement = Enforcement(partial(make_keeper or _keeper, around, wake=lambda name: self._wake((name,))))
        metrics = partial(_metrics, around, self._gate, enforcement, calls=shared.counts)
        self._health = Health(options.health, self._idle, metrics)
        self._parts: tuple[Part, ...] = (
            Node(around),
            Policies(around, enforcement),
            Waiting(around, enforcement, self._gate),
            Revocation(around, enforcement),
            Firewall(around, self._monitor),
            Routes(around),
            Expose(around),
            Conflist(around),
            Status(around, api),
            Report(around, self._health, self._gate),
        )
        for part in self._parts:
            work = partial(attempt, part, around)
            pace = _PACES.get(part.name, _LOCAL)
            self._runners[part.name] = Runner(part.name, work, pace, clock=clock or SystemClock())

    def start(self) -> None:
        """Start all parts; raise OSError when the probes' address is taken."""
        self._health.start()
        self._gate.start()
        self._monitor.start()
        for runner in self._runners.values():
            runner.start()

    def stop(self) -> bool:
        """End all parts, and return whether none of them can change the node any more.

        What waits for the API server is not waited for: it changes nothing here.
        """
        self._monitor.stop()
        self._gate.stop()
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

    def _policies_changed(self) -> None:
        """Have policies looked at; a Pod that has come may be one that an ADD waits for."""
        self._wake(("policies", "report"))
        if self._gate.pending():
            self._wake(("waiting",))

    def _wake(self, names: Iterable[str]) -> None:
        for name in names:
            self._runners[name].wake()


def _keeper(around: Surroundings, *, wake: Callable[[str], None]) -> PolicyKeeper:
    from slash80.agent.reconcilers import policy_monitor  # noqa: PLC0415 -- not without policies, see Enforcement

    return policy_monitor.keeper(around, wake=wake)


def _metrics(around: Surroundings, gate: PolicyGate, enforcement: Enforcement, *, calls: CallCounts) -> Metrics:
    from slash80.agent.metrics import controller  # noqa: PLC0415 -- not where nothing scrapes, see there

    return controller.exposition(around, gate, enforcement, calls=calls)


class _Informers:
    """Makes the lists of objects; each calls what reads it when it changes."""

    def __init__(
        self,
        api: Api,
        node: str,
        changed: Callable[[], None],
        *,
        exposing: Callable[[], None],
        policies: Callable[[], None],
    ) -> None:
        self._api, self._changed, self._exposing, self._policies = api, changed, exposing, policies
        self._node = node

    def nodes(self, selector: str) -> Source[NodeSeen]:
        return Informer(self._api, NODES, changed=self._changed, selector=selector)

    def service_cidrs(self) -> Source[tuple[Prefix, ...]]:
        return Informer(self._api, SERVICE_CIDRS, changed=self._changed)

    def exposing_namespaces(self) -> Source[str]:
        return Informer(self._api, EXPOSING_NAMESPACES, changed=self._exposing)

    def config_maps(self, selector: str) -> Source[Mapping[str, str]]:
        return Informer(self._api, CONFIG_MAPS, changed=self._changed, selector=selector)

    def policies(self) -> Followed[Policy]:
        return Informer(self._api, NETWORK_POLICIES, changed=self._policies)

    def namespaces(self) -> Followed[Namespace]:
        return Informer(self._api, NAMESPACES, changed=self._policies)

    def pods(self) -> Followed[Pod]:
        indexes = {OF_NODE: self._of_node}
        return Informer(self._api, PODS, changed=self._policies, selector=RUNNING, indexes=indexes)

    def _of_node(self, pod: Pod) -> tuple[str, ...]:
        """Index this node's pods only: of all nodes' it would take memory for each."""
        return (pod.node,) if pod.node == self._node else ()
