"""What `slash80 why` and `slash80 policy` know: from the API with the caller's own rights, from this node, or both."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from slash80.addressing.family import Address
from slash80.addressing.openings import ALLOW_EXPOSE
from slash80.addressing.ports import PortRange
from slash80.cli import node_side
from slash80.cli.node_side import NodeSide
from slash80.cluster import credentials, kubeconfig
from slash80.cluster.api import Api
from slash80.cluster.credentials import ClientConfig, MemoryFiles
from slash80.cluster.lookup import Lookup
from slash80.desired.node import Desired, desired
from slash80.desired.observed import Observed
from slash80.desired.prefixes import PrefixReport
from slash80.desired.problems import Problem, Reason
from slash80.errors import CniError, InvalidConfig
from slash80.explain.records import Member
from slash80.firewall.records import Settings
from slash80.host import compiled_network
from slash80.policy.model import Direction, Pod, Policy, Snapshot
from slash80.settings import cluster, clusterset
from slash80.settings import network as configuration
from slash80.settings import node as nodefile
from slash80.settings.cluster import ClusterSettings
from slash80.settings.clusterset import Clusterset
from slash80.settings.network import NetConf

_NO_API = "no API was asked: give --kubeconfig, or run this where the agent does"
_CONFIG = Path("ConfigMap slash80")


@contextmanager
def lookup(chosen: argparse.Namespace) -> Iterator[Lookup | None]:
    """Ask the API of the kubeconfig that is chosen, of this pod's service account, or of no one; raise CniError."""
    with MemoryFiles() as held:
        config = _config(chosen, held)
        if config is None:
            yield None
            return
        api = Api(config)
        try:
            yield Lookup(api)
        finally:
            api.close()


def _config(chosen: argparse.Namespace, held: MemoryFiles) -> ClientConfig | None:
    environ = dict(os.environ)
    if chosen.kubeconfig:
        environ["KUBECONFIG"] = str(chosen.kubeconfig)
    elif not chosen.context and "KUBECONFIG" not in environ:
        with_account = (credentials.SERVICE_ACCOUNT / "token").exists()
        if with_account and environ.get("KUBERNETES_SERVICE_HOST"):
            return credentials.in_cluster(environ)
        if chosen.state_dir.exists() and not kubeconfig.DEFAULT.expanduser().exists():
            return None
    return kubeconfig.load(environ, held, context=chosen.context)


def here(chosen: argparse.Namespace) -> NodeSide | None:
    """Return this node, None where this is not one; raise CniError or OSError."""
    return node_side.read(chosen.state_dir)


class Facts:
    """The settings of the firewall, and what follows from them for single pods.

    `members` are those of the clusterset, as the node has them of which the settings were asked last.
    """

    def __init__(self, asking: Lookup | None, side: NodeSide | None) -> None:
        """Read the ConfigMap, where there is an API."""
        self._lookup, self._here = asking, side
        self.notes: list[str] = []
        self.members: tuple[Member, ...] = side.members if side else ()
        self.cluster = self._of_cluster()

    def firewall(self, node: str) -> Settings | None:
        """Return the settings that are in force on a node: here as the kernel has them, else as the ConfigMap says."""
        if self._here and self._here.settings and (node == self._here.name or self.cluster is None):
            if node and node != self._here.name:
                self.notes.append(f"the firewall of node {node}, which is taken to be as this node's")
            return self._here.settings
        if self._here and self._here.problem:
            self.notes.append(self._here.problem)
        if self.cluster is None or self._lookup is None:
            return None
        try:
            return self._worked_out(self.cluster, self._lookup, node)
        except CniError as error:
            self.notes.append(f"the settings of node {node}: {error}")
            return None

    def unnamed(self, addresses: Iterable[Address]) -> dict[Address, str]:
        """Return those of hosts' addresses of which it could not be read whether they are a pod's, with the reason."""
        asked = [(one, self._lookup.hidden_owner(one)) for one in addresses] if self._lookup else []
        return {address: reason for address, reason in asked if reason}

    @property
    def enforced(self) -> bool:
        """Whether NetworkPolicies are in force at all, as far as the settings are known."""
        return self.cluster is None or self.cluster.policy.enforce

    @property
    def judged(self) -> Mapping[tuple[Direction, Address], str]:
        """What the policies' table of this node does with its pods."""
        return self._here.judged if self._here else {}

    def exposed(self, pods: Iterable[tuple[Pod, tuple[PortRange, ...]]]) -> Iterator[tuple[Address, PortRange]]:
        """Yield the ports that pods have open to everybody, by their annotation and the setting that allows it."""
        yield from self._here.exposed if self._here else ()
        for pod, asked in pods:
            if asked and not self._is_here(pod) and self._may_expose(pod.namespace):
                yield from ((address, ports) for address in pod.addresses for ports in asked)

    def snapshot(self, pods: Sequence[Pod]) -> tuple[Snapshot, tuple[tuple[str, str], ...]]:
        """Return what policies judge these pods by, and of which namespaces they are hidden, with the reason."""
        asking, side = self._lookup, self._here
        policies: list[Policy] = []
        hidden: list[tuple[str, str]] = []
        namespaces = {}
        for name in dict.fromkeys(pod.namespace for pod in pods if pod.selectable):
            found = asking.policies(name) if asking else None
            if found is None:
                reason = asking.unseen.get(f"NetworkPolicies of namespace {name}", "") if asking else _NO_API
                hidden.append((name, reason))
            policies += found or ()
            if asking and (namespace := asking.namespace(name)):
                namespaces[name] = namespace
        nodes = {node.name: node.addresses for node in (asking.nodes if asking else ())}
        if side:
            nodes[side.name] = (*nodes.get(side.name, ()), *side.addresses)
            policies = side.refused.in_force(policies, pods)
        further = side.further if side else {}
        return Snapshot(tuple(pods), namespaces, tuple(policies), nodes, further), tuple(hidden)

    def _worked_out(self, found: ClusterSettings, asking: Lookup, node: str) -> Settings:
        """Return the firewall's settings as the agent of a node works them out."""
        wanted = _desired(found, asking, node, clustersets=self._clustersets(asking))
        self.notes += [_noted(one) for one in wanted.problems if one.subject == clusterset.NAME]
        trust = wanted.trust
        self.members = tuple(
            Member(trust.name, one.id, prefix, one.refusal) for one in trust.members for prefix in one.prefixes
        )
        file = nodefile.parse(json.dumps(wanted.node_file))
        plugin = {"type": "slash80", "name": "slash80", "cniVersion": "1.0.0", "source": "node"}
        return compiled_network.settings(
            nodefile.complete(configuration.parse(NetConf, plugin), nodefile.undrained(file))
        )

    def _clustersets(self, asking: Lookup) -> tuple[Clusterset, ...]:
        """Return the clusterset of the file of now; what is in force after a mistake in it only the node knows."""
        text = asking.data(clusterset.NAME).get(clusterset.KEY)
        try:
            return () if text is None else (clusterset.parse(text, f"ConfigMap {clusterset.NAME}"),)
        except CniError as error:
            self.notes.append(f"the members of the clusterset: {error}")
            return ()

    def _is_here(self, pod: Pod) -> bool:
        return bool(self._here and self._here.settings and pod.node == self._here.name)

    def _may_expose(self, namespace: str) -> bool:
        if self.cluster is None or self._lookup is None:
            return False
        if self.cluster.firewall.expose_from != "labelled":
            return self.cluster.firewall.expose_from == "all"
        found = self._lookup.namespace(namespace)
        return found is not None and found.labels.get(ALLOW_EXPOSE) == "true"

    def _of_cluster(self) -> ClusterSettings | None:
        if self._lookup is None or (text := self._lookup.config) is None:
            return None
        try:
            return cluster.parse(text, _CONFIG)
        except CniError as error:
            self.notes.append(f"the settings of the cluster: {error}")
            return None


def _noted(problem: Problem) -> str:
    """Return a problem with the clusterset's file as it is seen from elsewhere, where an earlier one is not known."""
    if problem.reason is not Reason.CLUSTERSET_INVALID:
        return problem.message
    why, _, _ = problem.message.rpartition("; ")
    return f"{why}; whether an earlier file is in force only the node knows"


def _desired(found: ClusterSettings, asking: Lookup, node: str, *, clustersets: tuple[Clusterset, ...]) -> Desired:
    """Return what the agent of a node works out."""
    nodes = asking.nodes
    own = next((one for one in nodes if one.name == node), next(iter(nodes), None))
    if own is None:
        raise InvalidConfig("no Nodes could be read, of which the trusted prefixes follow")
    source = found.prefix_sources[0]
    observed = Observed(
        found,
        (PrefixReport(source, own.announced or own.pod_cidrs),),
        own,
        tuple(one for one in nodes if one is not own),
        asking.service_cidrs,
        clustersets=clustersets,
    )
    wanted = desired(observed)
    if wanted is None:
        raise InvalidConfig(f"nothing follows from the settings for node {own.name}")
    return wanted
