"""What the API shows that matters to this node: Nodes, the Services' ranges, some Namespaces, and NetworkPolicies."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from slash80.addressing.family import Prefix
from slash80.cluster.objects.configmap import CLUSTERSET, CLUSTERSET_FILE, CONFIG_MAPS
from slash80.cluster.objects.namespace import EXPOSING_NAMESPACES
from slash80.cluster.objects.node import NODES, NodeSeen
from slash80.cluster.objects.selected import NAMESPACES, NETWORK_POLICIES, PODS
from slash80.cluster.objects.servicecidr import SERVICE_CIDRS
from slash80.cluster.subscription import Subscription
from slash80.desired.problems import Problem, Reason
from slash80.settings.cluster import ClusterSettings

if TYPE_CHECKING:
    from slash80.policy.model import Namespace, Pod, Policy

OF_NODE = "node"  # an index of Pods
T = TypeVar("T")
S = TypeVar("S", bound="Source[Any]")
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

    @property
    def age(self) -> float:
        """Seconds since the API server last said anything of it; infinite if it never did."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End, and make no further calls."""


class Followed(Source[T], Protocol):
    """A list of objects of which single ones and changes are asked for."""

    def get(self, key: str) -> T | None:
        """Return the object with a key, `namespace/name` or `name`."""

    def indexed(self, index: str, value: Hashable) -> list[T]:
        """Return the objects for which an index of the list gives this value, in the order of their keys."""

    def subscribe(self, wake: Callable[[], None]) -> Subscription[T]:
        """Return what collects changes from now on, and calls `wake` after each."""

    def unsubscribe(self, subscription: Subscription[T]) -> None:
        """Collect no more changes for it."""


class Sources(Protocol):
    """Makes the lists; `selector` is a field selector."""

    def nodes(self, selector: str) -> Source[NodeSeen]:
        """Return a list of Nodes."""

    def service_cidrs(self) -> Source[tuple[Prefix, ...]]:
        """Return the list of ServiceCIDRs."""

    def exposing_namespaces(self) -> Source[str]:
        """Return the list of Namespaces whose pods may open ports."""

    def config_maps(self, selector: str) -> Source[Mapping[str, str]]:
        """Return a list of ConfigMaps of slash80's namespace."""

    def policies(self) -> Followed[Policy]:
        """Return the list of NetworkPolicies."""

    def namespaces(self) -> Followed[Namespace]:
        """Return the list of all Namespaces."""

    def pods(self) -> Followed[Pod]:
        """Return the list of all Pods that have not ended; by index OF_NODE this node's are found."""


@dataclass(frozen=True, slots=True)
class Selected:
    """The lists of what policies select."""

    pods: Followed[Pod]
    namespaces: Followed[Namespace]

    def start(self) -> None:
        """Begin."""
        self.pods.start()
        self.namespaces.start()

    def stop(self) -> None:
        """End."""
        self.pods.stop()
        self.namespaces.stop()


class ClusterView:
    """Follows what the settings make necessary, and nothing else: each list costs the API server a watch for each node.

    One thread calls `follow`, one `follow_selected`; any thread may read the rest.
    """

    def __init__(self, node: str, sources: Sources) -> None:
        """Follow nothing yet."""
        self._node, self._sources = node, sources
        self._selector = ""
        self._nodes: Source[NodeSeen] | None = None
        self._services: Source[tuple[Prefix, ...]] | None = None
        self._namespaces: Source[str] | None = None
        self._clusterset: Source[Mapping[str, str]] | None = None
        self._policies: Followed[Policy] | None = None
        self._selected: Selected | None = None

    def follow(self, settings: ClusterSettings) -> None:
        """Have the lists that these settings need.

        The others' Nodes are needed only where something follows from them, ServiceCIDRs only where the settings do not
        say them, Namespaces only where their label decides, NetworkPolicies only where they are enforced; the
        clusterset always. A list that is not needed any more is ended, and its problem goes with it.
        """
        firewall = settings.firewall
        known = bool(firewall.cluster_prefixes and settings.all_node_prefixes)
        selector = f"metadata.name={self._node}" if settings.node_routes == "none" and known else ""
        if self._nodes is None or selector != self._selector:
            before, self._nodes, self._selector = self._nodes, self._sources.nodes(selector), selector
            self._nodes.start()
            if before:
                before.stop()
        self._services = _following(self._services, self._sources.service_cidrs, needed=not firewall.service_cidrs)
        by_label = firewall.expose_from == "labelled"
        self._namespaces = _following(self._namespaces, self._sources.exposing_namespaces, needed=by_label)
        self._clusterset = _following(self._clusterset, self._of_clusterset, needed=True)
        self._policies = _following(self._policies, self._sources.policies, needed=settings.policy.enforce)

    def follow_selected(self, *, needed: bool) -> None:
        """Have the lists of what policies select, all Pods and Namespaces: they are the largest that there are."""
        before = self._selected
        if needed and before is None:
            self._selected = Selected(self._sources.pods(), self._sources.namespaces())
            self._selected.start()
        elif before and not needed:
            self._selected = None
            before.stop()

    def stop(self) -> None:
        """End all lists."""
        for source in (
            self._nodes,
            self._services,
            self._namespaces,
            self._clusterset,
            self._policies,
            self._selected,
        ):
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
    def exposing_namespaces(self) -> frozenset[str] | None:
        """The Namespaces whose pods may open ports; None while their list is not complete, or not followed."""
        namespaces = self._namespaces
        return frozenset(namespaces.objects) if namespaces and namespaces.synced else None

    @property
    def clusterset(self) -> tuple[str | None, ...] | None:
        """The clusterset's file, None in it where its ConfigMap lacks the key; empty where there is no ConfigMap.

        None while the list is not complete, or not followed.
        """
        found = self._clusterset
        return tuple(one.get(CLUSTERSET_FILE) for one in found.objects) if found and found.synced else None

    @property
    def policies(self) -> Followed[Policy] | None:
        """The list of NetworkPolicies; None while it is not complete, or not followed."""
        policies = self._policies
        return policies if policies and policies.synced else None

    @property
    def selected(self) -> Selected | None:
        """The lists of Pods and Namespaces; None while one of them is not complete, or they are not followed."""
        selected = self._selected
        return selected if selected and selected.pods.synced and selected.namespaces.synced else None

    @property
    def ages(self) -> dict[str, float]:
        """How many seconds ago the API server said anything of each list that is followed; infinite if it never did."""
        selected = self._selected
        lists: dict[str, Source[Any] | None] = {
            "nodes": self._nodes,
            "servicecidrs": self._services,
            "exposing_namespaces": self._namespaces,
            "configmaps": self._clusterset,
            "networkpolicies": self._policies,
            "pods": selected.pods if selected else None,
            "namespaces": selected.namespaces if selected else None,
        }
        return {name: source.age for name, source in lists.items() if source}

    @property
    def problems(self) -> list[Problem]:
        """What keeps the lists that are followed from being up to date."""
        found = []
        if (nodes := self._nodes) and nodes.problem:
            found.append(Problem(Reason.WATCH_FAILED, NODES.path, nodes.problem))
        if (services := self._services) and services.problem:
            message = f"{services.problem}; or set firewall.serviceCIDRs, else NodePorts stay closed"
            found.append(Problem(Reason.SERVICES_UNKNOWN, SERVICE_CIDRS.path, message))
        if (namespaces := self._namespaces) and namespaces.problem:
            message = f"{namespaces.problem}; till then their label neither opens nor closes ports of pods"
            found.append(Problem(Reason.NAMESPACES_UNKNOWN, EXPOSING_NAMESPACES.path, message))
        if (listed := self._clusterset) and listed.problem:
            message = (
                f"{listed.problem}; till then the clusterset in force stays so; where the right to read ConfigMap "
                f"{CLUSTERSET} is missing, apply manifests/base/rbac.yaml"
            )
            found.append(Problem(Reason.CLUSTERSET_UNKNOWN, CONFIG_MAPS.path, message))
        return found + self._policy_problems()

    def _policy_problems(self) -> list[Problem]:
        selected = self._selected
        lists: list[tuple[str, Source[object] | None]] = [(NETWORK_POLICIES.path, self._policies)]
        if selected:
            lists += [(PODS.path, selected.pods), (NAMESPACES.path, selected.namespaces)]
        stays = "till then the policies that are in force on this node stay so, and others do not come into force"
        return [
            Problem(Reason.POLICIES_UNKNOWN, path, f"{source.problem}; {stays}")
            for path, source in lists
            if source and source.problem
        ]

    def _of_clusterset(self) -> Source[Mapping[str, str]]:
        return self._sources.config_maps(f"metadata.name={CLUSTERSET}")

    @property
    def _known(self) -> Sequence[NodeSeen]:
        nodes = self._nodes
        return nodes.objects if nodes and nodes.synced else ()


def _following(before: S | None, make: Callable[[], S], *, needed: bool) -> S | None:
    """Return a list that is followed if it is needed: the one of before, or another that begins now."""
    if before and needed:
        return before
    if before:
        before.stop()
    if not needed:
        return None
    source = make()
    source.start()
    return source
