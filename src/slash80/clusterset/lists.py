"""The objects of this cluster that the program follows, each kind in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from slash80.cluster.api import Api, Refused
from slash80.cluster.informer import Informer
from slash80.cluster.objects import clusterproperty, serviceexport
from slash80.cluster.objects.clusterproperty import cluster_properties
from slash80.cluster.objects.configmap import read_config_map
from slash80.cluster.objects.endpointslice import EndpointSlice, endpoint_slices, written_slices
from slash80.cluster.objects.namespace import NAMESPACE_NAMES
from slash80.cluster.objects.reading import Resource, mappings, text
from slash80.cluster.objects.serviceexport import service_exports
from slash80.cluster.objects.serviceimport import service_imports
from slash80.cluster.objects.servicespec import ServiceSpec, service_specs
from slash80.clusterset.documents import MANAGER
from slash80.clusterset.observed import OF_SERVICE, of_service
from slash80.clusterset.problems import Problem, Reason
from slash80.clusterset.records import Name
from slash80.errors import InvalidConfig
from slash80.settings.clusterset import NAME

_MISSING = 404
_WORD = 64


@dataclass(frozen=True, slots=True)
class Versions:
    """At which versions the kinds are served that not every cluster has; no `properties` where they are not."""

    services: str
    properties: str = ""


def versions(api: Api) -> Versions:
    """Ask for them; raise InvalidConfig where there are no ServiceExports, Refused or Unreachable."""
    services = _best(api, serviceexport.GROUP, serviceexport.VERSIONS)
    if not services:
        what = f"the API has no {serviceexport.GROUP}, so there are no ServiceExports"
        raise InvalidConfig(f"{what}; kubectl create -k manifests/mcs-crds brings them")
    return Versions(services, _best(api, clusterproperty.GROUP, clusterproperty.VERSIONS))


@dataclass(frozen=True, slots=True)
class Bells:
    """What is called when something has changed: the ConfigMap, the Namespaces, what is exported, what is written."""

    file: Callable[[], None]
    namespaces: Callable[[], None]
    exported: Callable[[], None]
    written: Callable[[], None]


class Lists:
    """The informers; each rings the bell of what depends on it when something has changed."""

    def __init__(self, api: Api, namespace: str, served: Versions, *, bells: Bells) -> None:
        """Begin when started."""
        maps = Resource(f"/api/v1/namespaces/{namespace}/configmaps", read_config_map)
        self.file = Informer(api, maps, selector=f"metadata.name={NAME}", changed=bells.file)
        self.exports = Informer(api, service_exports(served.services, MANAGER), changed=bells.exported)
        self.services = Informer(api, service_specs(MANAGER), changed=bells.exported)
        slices = {OF_SERVICE: _service_of}
        self.slices = Informer(api, endpoint_slices(MANAGER), indexes=slices, changed=bells.exported)
        self.namespaces = Informer(api, NAMESPACE_NAMES, changed=bells.namespaces)
        self.imports = Informer(api, service_imports(served.services, MANAGER))
        self.written = Informer(api, written_slices(MANAGER), indexes={OF_SERVICE: of_service})
        self.properties = Informer(api, cluster_properties(served.properties, MANAGER)) if served.properties else None
        shown: list[Informer[Any]] = [self.exports, self.services, self.imports, self.written]
        shown += [self.properties] if self.properties else []
        self.shown = [one.subscribe(bells.written) for one in shown]
        self._all: list[Informer[Any]] = [self.file, self.slices, self.namespaces, *shown]

    def start(self) -> None:
        """Start all."""
        for one in self._all:
            one.start()

    def stop(self) -> None:
        """End all."""
        for one in self._all:
            one.stop()

    @property
    def synced(self) -> bool:
        """Whether a whole list of each kind was received."""
        return all(one.synced for one in self._all)

    @property
    def age(self) -> float:
        """Seconds since the API server said anything of the kind of which it has been silent for longest."""
        return max(one.age for one in self._all)

    @property
    def problems(self) -> list[Problem]:
        """What keeps the lists from being up to date."""
        return [Problem(Reason.WATCH_FAILED, one.path, one.problem) for one in self._all if one.problem]

    def service(self, name: Name) -> ServiceSpec | None:
        """Return a Service."""
        return self.services.get(f"{name.namespace}/{name.name}")

    def slices_of(self, name: Name) -> Iterable[EndpointSlice]:
        """Return the EndpointSlices of a Service."""
        return self.slices.indexed(OF_SERVICE, (name.namespace, name.name))


def _service_of(found: EndpointSlice) -> Iterable[tuple[str, str]]:
    return [(found.namespace, found.service)]


def _best(api: Api, group: str, wanted: Iterable[str]) -> str:
    """Return the best served version of a group; empty where it has none of them."""
    try:
        found = api.get(f"/apis/{group}")
    except Refused as refused:
        if refused.status != _MISSING:
            raise
        return ""
    served = {text(one, "version", most=_WORD) for one in mappings(found, "versions")}
    return next((version for version in wanted if version in served), "")
