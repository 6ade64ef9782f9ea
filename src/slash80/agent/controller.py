"""The agent's part on Kubernetes: sees the cluster, decides, and has it so, again and again, from whatever state.

It runs beside the processes that answer calls, so that no watch slows one, and it may die at any instruction: what it
writes is whole or not there, and what it does is worked out from what is there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slash80.agent import files, mark
from slash80.agent.decide import Decision, Situation, decide
from slash80.agent.health import Health
from slash80.cluster import objects
from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.objects import NodeSeen
from slash80.cluster.watch import Watch
from slash80.errors import CniError
from slash80.host import compiled_network, forwarding
from slash80.host.context import STANDALONE, Host
from slash80.prefixes.static import Static
from slash80.settings import cluster as cluster_settings
from slash80.settings import network as configuration
from slash80.settings import node as nodefile
from slash80.settings.cluster import ClusterSettings
from slash80.settings.network import RemovalConf
from slash80.settings.node import NodeFile
from slash80.wiring import node_routes, sysctl

_EVERY = 10.0  # seconds after which everything is looked at again, whether or not anything was heard of
_TOGETHER = 0.2  # seconds in which further changes are waited for: a cluster that starts has many at once
_SERVICE_CIDRS = "/apis/networking.k8s.io/v1/servicecidrs"
_log = logging.getLogger("slash80.controller")


@dataclass(frozen=True, slots=True)
class Options:
    """How the agent was started on Kubernetes: this node's name, and where things are."""

    node: str
    config: Path
    conf_dir: Path
    static: Static
    health: tuple[str, int]


@dataclass(slots=True)
class _Round:
    """What one look at everything found."""

    problems: list[str] = field(default_factory=list)
    unrouted: list[str] = field(default_factory=list)
    ready: bool = False

    @contextmanager
    def part(self) -> Iterator[None]:
        """Let one part fail without keeping the others from being done."""
        try:
            yield
        except CniError as error:
            self.problems.append(error.msg)
        except OSError as error:
            self.problems.append(str(error))


class Controller:
    """One node's controller."""

    def __init__(self, options: Options, state_dir: Path, api: Api) -> None:
        """Open nothing yet."""
        self._options, self._state_dir, self._api = options, state_dir, api
        self._conf = configuration.parse(RemovalConf, {"stateDir": str(state_dir)})
        self._changed = threading.Event()
        self._health = Health(options.health)
        self._settings = ClusterSettings()
        self._watches: dict[str, Watch[NodeSeen]] = {}
        self._services = Watch(self._api, _SERVICE_CIDRS, read=objects.service_cidrs, changed=self._changed.set)
        self._decision: Decision | None = None
        self._said: list[str] = []

    def run(self) -> None:
        """Go on for ever."""
        self._health.start()
        self._services.start()
        while True:
            self._changed.clear()
            self.look()
            self._health.beat()
            if self._changed.wait(_EVERY):
                time.sleep(_TOGETHER)

    def look(self) -> None:
        """Look at everything once, and do what is to be done."""
        found = _Round()
        with found.part():
            self._settings = cluster_settings.read(self._options.config)
        own, others = self._nodes()
        with found.part(), STANDALONE.opened(self._conf) as node:
            situation = self._situation(node, own, others)
            self._decision = decide(situation) or self._decision
            if self._decision:
                found.problems += self._decision.problems
            with found.part():
                self._enforce(node, found)
            if self._decision:
                ipv4 = (prefix for prefix in self._decision.others if prefix.version == 4)
                found.unrouted = [str(prefix) for prefix in ipv4 if not node_routes.has_route(node.netlink, prefix)]
        self._mark(own, found)
        self._report(own, found)

    def _nodes(self) -> tuple[NodeSeen | None, tuple[NodeSeen, ...]]:
        """Give this node and the others; those are asked for only where something follows from them."""
        firewall = self._settings.firewall
        known = bool(firewall.cluster_prefixes and (firewall.node_prefixes or self._settings.node_prefixes))
        alone = self._settings.node_routes == "none" and known
        selector = f"metadata.name={self._options.node}" if alone else ""
        watch = self._watches.get(selector)
        if watch is None:
            watch = Watch(self._api, objects.NODES, read=objects.node, changed=self._changed.set, selector=selector)
            self._watches[selector] = watch
            watch.start()
        nodes = watch.objects if watch.synced else []
        own = next((one for one in nodes if one.name == self._options.node), None)
        return own, tuple(one for one in nodes if one is not own)

    def _situation(self, node: Host, own: NodeSeen | None, others: tuple[NodeSeen, ...]) -> Situation:
        attachments = node.store.attachments()
        return Situation(
            settings=self._settings,
            static=self._options.static,
            own=own,
            others=others,
            services=tuple(cidr for cidrs in self._services.objects for cidr in cidrs),
            before=self._before(),
            in_use=tuple(address for one in attachments for address in one.assignment.addresses),
        )

    def _before(self) -> NodeFile | None:
        path = self._state_dir / nodefile.NAME
        return nodefile.parse(nodefile.read(self._state_dir)) if path.exists() else None

    def _enforce(self, node: Host, found: _Round) -> None:
        """Have the node as decided. The conflist is written last: from then on pods are sent here."""
        if not self._decision and not (self._state_dir / nodefile.NAME).exists():
            found.problems.append("the API server has not said yet which prefixes this node has")
            return
        if self._decision:
            with found.part():
                self._write_node_file(self._decision.node_file)
        compiled = compiled_network.read(files.conflist(self._state_dir)["plugins"][0] | {"name": files.NETWORK})
        sysctl.require(compiled.families)
        forwarding.enable(node, compiled.families)
        with found.part():
            for command in forwarding.keep_discard_routes(node, files.NETWORK, compiled.prefixes):
                _log.info("%s", command)
        with found.part():
            # while it is not known which there should be, those that there are stay
            result = (
                node_routes.reconcile(node.netlink, self._decision.routes)
                if self._decision
                else node_routes.Reconciled()
            )
            found.problems += result.problems
            for command in result.done:
                _log.info("%s", command)
        if node.ensure_firewall(compiled.ruleset, files.NETWORK):
            _log.info("the firewall was put in place")
        if files.install_conflist(self._options.conf_dir, self._state_dir):
            _log.info("the conflist was written: pods can be attached")
        found.problems += [
            f"{self._options.conf_dir}/{name} comes before slash80's, so the runtime takes that one; remove it"
            for name in files.earlier_than_ours(self._options.conf_dir)
        ]
        found.ready = True

    def _write_node_file(self, document: dict[str, Any]) -> None:
        if files.read(self._state_dir / nodefile.NAME) != document:
            files.write(self._state_dir / nodefile.NAME, files.text(document))
            _log.info("node.json: %s", ", ".join(f"{k} {_listed(document[k])}" for k in ("ipv6", "ipv4")))

    def _mark(self, own: NodeSeen | None, found: _Round) -> None:
        """Tell Kubernetes; what it does not take now it is told the next time."""
        if own is None or self._decision is None:
            return
        document = self._decision.node_file
        entries = [*document["ipv6"], *document["ipv4"]]
        draining = [entry["prefix"] for entry in entries if entry["state"] == "draining"]
        wanted = mark.Mark(
            prefixes=tuple(entry["prefix"] for entry in entries),
            ready=found.ready,
            conditions=mark.conditions(ready=found.ready, draining=draining, unrouted=found.unrouted),
        )
        try:
            for patch in mark.patches(own, wanted, datetime.now(UTC)):
                self._api.patch(f"{objects.NODES}/{own.name}{patch.part}", patch.body, kind=patch.kind)
        except (Refused, Unreachable) as error:
            found.problems.append(f"node {own.name} cannot be marked: {error}")

    def _report(self, own: NodeSeen | None, found: _Round) -> None:
        """Say what is new, and leave all of it for `slash80 status` and the probes."""
        problems = [*found.problems, *(watch.problem for watch in self._watches.values() if watch.problem)]
        if self._services.problem and not self._settings.firewall.service_cidrs:
            problems.append(f"{self._services.problem}; or set firewall.serviceCIDRs, else NodePorts stay closed")
        for problem in problems:
            if problem not in self._said:
                _log.warning("%s", problem)
        self._said = problems
        self._health.ready(ready=found.ready, problems=problems)
        decision = self._decision
        report = {
            "node": self._options.node,
            "known": own is not None,
            "ready": found.ready,
            "sources": decision.sources if decision else {},
            "routes": [{"dst": str(r.dst), "gateway": str(r.gateway)} for r in decision.routes] if decision else [],
            "problems": problems,
        }
        try:
            if files.read(self._state_dir / files.REPORT) != report:
                files.write(self._state_dir / files.REPORT, files.text(report))
        except CniError as error:
            _log.warning("%s", error)


def _listed(entries: list[dict[str, str]]) -> str:
    return " ".join(f"{entry['prefix']} ({entry['state']})" for entry in entries) or "none"
