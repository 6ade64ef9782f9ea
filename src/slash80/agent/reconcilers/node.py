"""Part `node`: what the node should be like is worked out, `node.json` says so, and the node forwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from slash80.addressing.family import Prefix
from slash80.agent import files
from slash80.agent.reconcilers import trusted_before
from slash80.agent.reconcilers.board import Outcome
from slash80.agent.reconcilers.clusterset import ClustersetFile
from slash80.agent.reconcilers.part import Surroundings, log, network_in_force, tolerated
from slash80.agent.reconcilers.policy_file import calls_know
from slash80.agent.reconcilers.settings import Settings, SettingsFile
from slash80.desired.node import Desired, desired
from slash80.desired.observed import Observed
from slash80.desired.problems import Problem, Reason
from slash80.desired.trust import Judge
from slash80.errors import CniError, TryAgain
from slash80.host import address_counts, forwarding
from slash80.host.compiled_network import CompiledNetwork
from slash80.host.context import Host
from slash80.prefixes import annotation, spec, strays
from slash80.settings import node as nodefile
from slash80.settings.cluster import ClusterSettings
from slash80.settings.network import NetConf
from slash80.settings.node import NodeFile
from slash80.wiring import return_paths, sysctl, veth


class Node:
    """Looks at settings, prefix sources, the cluster and what is in force, and tells the other parts what should be."""

    name, reason = "node", Reason.NODE_FAILED

    def __init__(self, around: Surroundings) -> None:
        """Start without settings."""
        self._around = around
        self._settings = SettingsFile(around.options.config, around.options.kept)
        self._clusterset = ClustersetFile(around.options.kept)
        self._judge = Judge()

    def reconcile(self) -> Outcome:
        """Have `node.json`, forwarding and discard routes as they should be."""
        problems: list[Problem] = []
        in_force = False
        candidates = [*self._settings.candidates(problems)]
        self._around.cluster.follow(candidates[0].values if candidates else ClusterSettings())
        with tolerated(problems, self.reason, self._around.options.node), self._around.opened() as host:
            self._work_out(host, candidates, problems)
            if found := network_in_force(self._around.state_dir):
                problems += apply(host, found.network)
                self._around.board.count_addresses(*address_counts.counted(host, found.network.pools.values()))
                problems += [Problem(Reason.NO_PREFIX, self._around.options.node, found.lacks)] if found.lacks else []
                in_force = not found.lacks
            elif candidates and self._around.board.desired is None:
                message = "the API server has not said yet which prefixes this node has"
                problems.append(Problem(Reason.NODE_UNKNOWN, self._around.options.node, message))
        return Outcome(in_force, tuple(problems))

    def _work_out(self, host: Host, candidates: Sequence[Settings], problems: list[Problem]) -> None:
        """Compute what should be so and write `node.json`; without good settings or a known node all stays as it is."""
        board = self._around.board
        clustersets = self._clusterset.candidates(self._around.cluster.clusterset, problems)
        for settings in candidates:
            observed = replace(self._observed(host, settings.values, problems), clustersets=tuple(clustersets))
            if not (found := desired(observed, self._judge)):
                break
            if reason := _unusable(found.node_file):
                problems.append(self._settings.problem(f"{self._around.options.config}: {reason}"))
                continue
            with tolerated(problems, Reason.SETTINGS_NOT_KEPT, str(self._around.options.kept)):
                self._settings.keep(settings)
            with tolerated(problems, Reason.CLUSTERSET_NOT_KEPT, str(self._around.options.kept)):
                self._clusterset.keep(found.clusterset)
            with tolerated(problems, self.reason, nodefile.NAME):
                self._write(found, problems)
            board.enforce(settings.values.policy)
            board.want(found)
            break
        if wanted := board.desired:
            problems += wanted.problems
            known = candidates[0].values.firewall.cluster_prefixes if candidates else ()
            problems += strays.problems(wanted.sources, known, wanted.node_file["firewall"]["serviceCIDRs"])

    def _observed(self, host: Host, settings: ClusterSettings, problems: list[Problem]) -> Observed:
        own = self._around.cluster.own
        return Observed(
            settings=settings,
            reports=(self._around.options.static.report(), annotation.report(own), spec.report(own)),
            own=own,
            others=self._around.cluster.others,
            services=self._around.cluster.services,
            before=self._before(problems),
            links=tuple(_links(host)),
            in_use=tuple(address for one in host.store.attachments() for address in one.assignment.addresses),
        )

    def _before(self, problems: list[Problem]) -> NodeFile | None:
        """Return what is in force. A file that cannot be read is not in force, and is replaced."""
        path = self._around.state_dir / nodefile.NAME
        try:
            return nodefile.parse(nodefile.read(self._around.state_dir)) if path.exists() else None
        except TryAgain:
            return None  # it was removed just now
        except CniError as error:
            problems.append(Problem(Reason.NODE_FILE_INVALID, str(path), error.msg))
            return None

    def _write(self, found: Desired, problems: list[Problem]) -> None:
        """Write `node.json`; the first one after a boot has to wait until calls know which pods are isolated."""
        path, document = self._around.state_dir / nodefile.NAME, found.node_file
        if not path.exists() and not calls_know(self._around.state_dir):
            message = "it is not known yet which pods NetworkPolicies isolate, and till then none can be attached"
            problems.append(Problem(Reason.POLICIES_UNKNOWN, nodefile.NAME, message))
        elif files.read(path) != document:
            text = files.text(document)
            nodefile.demand_readable(text)
            with trusted_before.noted(self._around.state_dir, found.trust.prefixes):
                files.write(path, text)
            log.info("node.json: %s", ", ".join(f"{key} {_listed(document[key])}" for key in ("ipv6", "ipv4")))


def apply(host: Host, compiled: CompiledNetwork) -> list[Problem]:
    """Let the node forward its pods' packets, and discard those to addresses that no pod has."""
    problems: list[Problem] = []
    sysctl.require(compiled.families)
    forwarding.enable(host, compiled.families)
    with tolerated(problems, Reason.NODE_FAILED, "discard routes"):
        for command in forwarding.keep_discard_routes(host, files.NETWORK, compiled.prefixes):
            log.info("%s", command)
    return problems


def _links(host: Host) -> list[Prefix]:
    with veth.translated():
        return return_paths.own_subnets(host.netlink)


def _unusable(document: dict[str, Any]) -> str:
    """Return why no network could follow from this `node.json`, naming the key and the value; empty when one can."""
    try:
        nodefile.complete(NetConf(source="node"), nodefile.parse(files.text(document)))
    except TryAgain:
        return ""  # no prefix yet, or only draining ones
    except CniError as error:
        return error.msg
    return ""


def _listed(entries: list[dict[str, str]]) -> str:
    return " ".join(f"{entry['prefix']} ({entry['state']})" for entry in entries) or "none"
