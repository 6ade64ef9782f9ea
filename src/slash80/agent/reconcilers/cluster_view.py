"""What the API shows that matters to this node: its own Node, the others, and the Services' ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from slash80.addressing.family import Prefix
from slash80.cluster.objects.node import NODES, NodeSeen
from slash80.cluster.objects.servicecidr import SERVICE_CIDRS
from slash80.desired.problems import Problem, Reason
from slash80.settings.cluster import ClusterSettings

T_co = TypeVar("T_co", covariant=True)


class Source(Protocol[T_co]):
    """A list of objects that is kept up to date."""

    @property
    def objects(self) -> Sequence[T_co]:
        """The objects."""

    @property
    def synced(self) -> bool:
        """Whether the list was ever complete."""

    @property
    def problem(self) -> str:
        """What keeps the list from being up to date; empty when nothing does."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End, and make no further calls."""


class Sources(Protocol):
    """Makes the lists; `selector` is a field selector."""

    def nodes(self, selector: str) -> Source[NodeSeen]:
        """Return a list of Nodes."""

    def service_cidrs(self) -> Source[tuple[Prefix, ...]]:
        """Return the list of ServiceCIDRs."""


class ClusterView:
    """Follows what the settings make necessary, and nothing else: each list costs the API server a watch for each node.

    One thread calls `follow`; any thread may read the rest.
    """

    def __init__(self, node: str, sources: Sources) -> None:
        """Follow nothing yet."""
        self._node, self._sources = node, sources
        self._selector = ""
        self._nodes: Source[NodeSeen] | None = None
        self._services: Source[tuple[Prefix, ...]] | None = None

    def follow(self, settings: ClusterSettings) -> None:
        """Have the lists that these settings need.

        The others' Nodes are needed only where something follows from them, ServiceCIDRs only where the settings do not
        say them. A list that is not needed any more is ended, and its problem goes with it.
        """
        firewall = settings.firewall
        known = bool(firewall.cluster_prefixes and settings.all_node_prefixes)
        selector = f"metadata.name={self._node}" if settings.node_routes == "none" and known else ""
        if self._nodes is None or selector != self._selector:
            before, self._nodes, self._selector = self._nodes, self._sources.nodes(selector), selector
            self._nodes.start()
            if before:
                before.stop()
        if firewall.service_cidrs and self._services:
            self._services.stop()
            self._services = None
        elif not firewall.service_cidrs and not self._services:
            self._services = self._sources.service_cidrs()
            self._services.start()

    def stop(self) -> None:
        """End all lists."""
        for source in (self._nodes, self._services):
            if source:
                source.stop()

    @property
    def own(self) -> NodeSeen | None:
        """This node; None while it is not known."""
        return next((node for node in self._known if node.name == self._node), None)

    @property
    def others(self) -> tuple[NodeSeen, ...]:
        """The other nodes that matter; none while the list is not complete, and then this node is not known either."""
        return tuple(node for node in self._known if node.name != self._node)

    @property
    def services(self) -> tuple[Prefix, ...] | None:
        """The ClusterIP ranges; None while their list is not complete, or not followed."""
        services = self._services
        return tuple(cidr for cidrs in services.objects for cidr in cidrs) if services and services.synced else None

    @property
    def problems(self) -> list[Problem]:
        """What keeps the lists that are followed from being up to date."""
        found = []
        if (nodes := self._nodes) and nodes.problem:
            found.append(Problem(Reason.WATCH_FAILED, NODES.path, nodes.problem))
        if (services := self._services) and services.problem:
            message = f"{services.problem}; or set firewall.serviceCIDRs, else NodePorts stay closed"
            found.append(Problem(Reason.SERVICES_UNKNOWN, SERVICE_CIDRS.path, message))
        return found

    @property
    def _known(self) -> Sequence[NodeSeen]:
        nodes = self._nodes
        return nodes.objects if nodes and nodes.synced else ()
