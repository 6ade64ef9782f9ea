"""Single objects of the API, for commands that people run: with their own rights, and a note of what these hide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar
from urllib.parse import quote

from slash80.addressing.family import Address, Prefix
from slash80.cluster.api import Api, Refused
from slash80.cluster.objects.configmap import read_config_map
from slash80.cluster.objects.namespace import read_namespace
from slash80.cluster.objects.node import NODES, NodeSeen
from slash80.cluster.objects.openings import Declared, read_declared
from slash80.cluster.objects.pod import read_pod
from slash80.cluster.objects.reading import Document, Resource, Unreadable, mapping, text
from slash80.cluster.objects.selected import NAMESPACES, NETWORK_POLICIES, PODS
from slash80.cluster.objects.service import ENDPOINT_SLICES, SERVICE_NAME, SERVICES, EndpointPort, Service, read_service
from slash80.cluster.objects.servicecidr import SERVICE_CIDRS
from slash80.policy.model import Namespace, Pod, Policy

_NOT_FOUND = 404
_CONFIG = "/api/v1/namespaces/slash80-system/configmaps"
_MOST = 1 << 20  # characters of a ConfigMap
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PodFound:
    """A Pod and what it declares."""

    pod: Pod
    declared: Declared = field(default_factory=Declared)


class Lookup:
    """Asks for objects, each list once. `unseen` says what could not be read, by the objects' names."""

    def __init__(self, api: Api) -> None:
        """Ask for nothing yet."""
        self._api = api
        self.unseen: dict[str, str] = {}

    def pod(self, namespace: str, name: str) -> PodFound | None:
        """Return a Pod by its name."""
        path = f"/api/v1/namespaces/{_part(namespace)}/pods"
        return self._named(f"Pod {namespace}/{name}", path, name, read=_read_found)

    def pods_at(self, address: Address, node: str) -> list[PodFound]:
        """Return the Pods that have an address; `node` is where it is routed to, if that is known.

        The API selects Pods by their first address only, so those of the node are looked through for any other one.
        """
        selectors = [f"status.podIP={address}", *([f"spec.nodeName={node}"] if node else [])]
        for selector in selectors:
            found = self._pods(_with_address(address), selector)
            if matching := [one for one in found if address in one.pod.addresses]:
                return matching
        return []

    def hidden_owner(self, address: Address) -> str:
        """Return why it is not known which Pods have an address; empty where that could be read."""
        return self.unseen.get(_with_address(address), "")

    def pods_on(self, node: str) -> list[PodFound]:
        """Return the Pods of a node."""
        return self._pods(f"Pods of node {node}", f"spec.nodeName={node}")

    def service(self, namespace: str, name: str) -> Service | None:
        """Return a Service by its name."""
        path = f"/api/v1/namespaces/{_part(namespace)}/services"
        return self._named(f"Service {namespace}/{name}", path, name, read=read_service)

    def endpoints(self, service: Service) -> list[EndpointPort] | None:
        """Return the endpoints of a Service that take connections; None where they may not be read."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{_part(service.namespace)}/endpointslices"
        selector = f"{SERVICE_NAME}={service.name}"
        slices = self._list(f"EndpointSlices of {service}", path, ENDPOINT_SLICES, labelSelector=selector)
        return None if slices is None else [one for listed in slices for one in listed]

    def policies(self, namespace: str) -> list[Policy] | None:
        """Return the NetworkPolicies of a Namespace; None where that may not be read."""
        path = f"/apis/networking.k8s.io/v1/namespaces/{_part(namespace)}/networkpolicies"
        return self._list(f"NetworkPolicies of namespace {namespace}", path, NETWORK_POLICIES)

    def namespace(self, name: str) -> Namespace | None:
        """Return a Namespace."""
        return self._named(f"Namespace {name}", NAMESPACES.path, name, read=read_namespace)

    @cached_property
    def nodes(self) -> list[NodeSeen]:
        """All Nodes."""
        return self._list("Nodes", NODES.path, NODES) or []

    @cached_property
    def services(self) -> list[Service]:
        """All Services."""
        return self._list("Services", SERVICES.path, SERVICES) or []

    @cached_property
    def service_cidrs(self) -> tuple[Prefix, ...]:
        """The ranges of ClusterIPs."""
        listed = self._list("ServiceCIDRs", SERVICE_CIDRS.path, SERVICE_CIDRS) or []
        return tuple(prefix for one in listed for prefix in one)

    @cached_property
    def config(self) -> str | None:
        """`config.yaml` of ConfigMap `slash80`: empty where it does not exist, None where it may not be read."""
        what = "ConfigMap slash80-system/slash80"
        found = self._named(what, _CONFIG, "slash80", read=_read_config)
        return found if found is not None or what in self.unseen else ""

    def data(self, name: str) -> Mapping[str, str]:
        """Return the texts of a ConfigMap of slash80's namespace: none where it does not exist, or may not be read."""
        return self._named(f"ConfigMap slash80-system/{name}", _CONFIG, name, read=read_config_map) or {}

    def _pods(self, what: str, selector: str) -> list[PodFound]:
        resource = Resource(PODS.path, _read_found)
        return self._list(what, PODS.path, resource, fieldSelector=selector) or []

    def _named(self, what: str, path: str, name: str, *, read: Callable[[Document], T | None]) -> T | None:
        """Return an object of a list by its name; None where it does not exist, or may not be read, which is noted.

        Who may not get it may still list it: an agent's service account has the right to list and watch alone.
        """
        try:
            return read(self._api.get(f"{path}/{_part(name)}"))
        except Refused as refused:
            if refused.status == _NOT_FOUND:
                return None
            listed = self._list(what, path, Resource(path, read), fieldSelector=f"metadata.name={name}")
            return next(iter(listed or ()), None)
        except Unreadable as error:
            self.unseen[what] = str(error)
            return None

    def _list(self, what: str, path: str, resource: Resource[T], **query: str) -> list[T] | None:
        """Return a list without what cannot be read; None where the list itself may not be."""
        found: list[T] = []
        try:
            documents = self._api.items(path, **query)
        except Refused as refused:
            self.unseen[what] = str(refused)
            return None
        for document in documents:
            try:
                if (one := resource.read(document)) is not None:
                    found.append(one)
            except Unreadable as error:
                self.unseen[f"one of the {what}"] = str(error)
        return found


def _with_address(address: Address) -> str:
    return f"Pods with the address {address}"


def _part(name: str) -> str:
    """Return a name as a part of a path: people have typed it."""
    return quote(name, safe="")


def _read_found(document: Document) -> PodFound:
    return PodFound(read_pod(document), read_declared(document))


def _read_config(document: Document) -> str:
    return text(mapping(document, "data"), "config.yaml", most=_MOST)
