"""What is there of a name, out of the informers that watch it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from slash80.cluster.api import Api, Refused
from slash80.cluster.objects.clusterproperty import GROUP as ABOUT
from slash80.cluster.objects.clusterproperty import ClusterProperty, read_cluster_property
from slash80.cluster.objects.endpointslice import PATH as SLICES
from slash80.cluster.objects.endpointslice import WrittenSlice, read_written_slice
from slash80.cluster.objects.reading import Document
from slash80.cluster.objects.serviceexport import ServiceExport, read_service_export
from slash80.cluster.objects.serviceimport import ServiceImport, read_service_import
from slash80.cluster.objects.servicespec import ServiceSpec, read_service_spec
from slash80.cluster.subscription import Subscription
from slash80.clusterset.differences import EXPORTS, Record, There
from slash80.clusterset.documents import IMPORTS, MANAGER, PROPERTY_NAMES, SERVICES, derived, path_of
from slash80.clusterset.records import Name

T = TypeVar("T", bound=Record)
T_co = TypeVar("T_co", bound=Record, covariant=True)
PROPERTIES = f"/apis/{ABOUT}/{{}}/clusterproperties"
_NOT_FOUND = 404
OF_SERVICE = "service"  # the index of the slices
_READERS: Mapping[str, Callable[[Document, str], Record]] = {
    "ServiceExport": read_service_export,
    "ServiceImport": read_service_import,
    "Service": read_service_spec,
    "EndpointSlice": read_written_slice,
    "ClusterProperty": read_cluster_property,
}


def read(document: Document, kind: str, manager: str = MANAGER) -> Record:
    """Read an answer of the API as the informer of its kind does."""
    return _READERS[kind](document, manager)


class Source(Protocol[T_co]):
    """An informer."""

    def get(self, key: str) -> T_co | None:
        """Return the object with a key."""

    @property
    def objects(self) -> Sequence[T_co]:
        """All objects."""


class SliceSource(Source[WrittenSlice], Protocol):
    """An informer with an index."""

    def indexed(self, index: str, value: tuple[str, str]) -> Sequence[WrittenSlice]:
        """Return the objects for which the index gives this value."""


def of_service(found: WrittenSlice) -> Iterable[tuple[str, str]]:
    """Return what the slices are found by: the name of the imported Service."""
    return [(found.namespace, found.service)]


class Observed:
    """The objects of names, from one informer a kind; `properties` only where that kind is served."""

    def __init__(
        self,
        imports: Source[ServiceImport],
        services: Source[ServiceSpec],
        slices: SliceSource,
        *,
        exports: Source[ServiceExport],
        properties: Source[ClusterProperty] | None = None,
        versions: tuple[str, str] = ("v1beta1", "v1beta1"),
    ) -> None:
        """Take the informers; `versions` are those of the Multi-Cluster Services API and of the properties."""
        self._imports, self._services, self._slices = imports, services, slices
        self._exports, self._properties = exports, properties
        self._version, self._about = versions
        # for Services of others that have the name of one of ours, whose label does not say of what it is
        self._derived: dict[tuple[str, str], Name] = {}

    def there(self, name: Name) -> There:
        """Return the objects of a name by path; those of the whole cluster have the name without a namespace."""
        return dict(self._of(name) if name.namespace else self._of_cluster())

    def names(self, clusters: Collection[str] | None = None) -> set[Name]:
        """Return all names of which there is something of ours, or those in which some clusters have a part."""
        imports = [one for one in self._imports.objects if one.managed_by == MANAGER]
        slices = self._slices.objects
        if clusters is not None:
            imports = [one for one in imports if not {*clusters}.isdisjoint(one.clusters)]
            slices = [one for one in slices if one.cluster in clusters]
        found = {Name(one.namespace, one.name) for one in imports} | {
            Name(one.namespace, one.service) for one in slices
        }
        if clusters is None:
            found |= {Name(one.namespace, one.imported) for one in self._services.objects if one.imported}
        return found

    def name_of(self, record: Record) -> Name | None:
        """Return the name that an object belongs to; None for a Service that is not of an imported one."""
        if isinstance(record, ClusterProperty):
            return Name("", "clusterproperties")
        if isinstance(record, WrittenSlice):
            return Name(record.namespace, record.service)
        if isinstance(record, ServiceSpec):
            imported = Name(record.namespace, record.imported) if record.imported else None
            return imported or self._derived.get((record.namespace, record.name))
        return Name(record.namespace, record.name)

    def news(self, subscriptions: Iterable[Subscription[T]], wanted: Iterable[Name]) -> set[Name]:
        """Return the names of what has changed since the last time, of some kinds.

        Where that was too much to be remembered, it may be those that are `wanted`, also if nothing of them is there.
        """
        result: set[Name] = set()
        for subscription in subscriptions:
            taken = subscription.take()
            if taken.everything:
                return self.names() | {*self._derived.values()} | {*wanted}
            both = (one for change in taken.changes for one in (change.old, change.new) if one is not None)
            result |= {name for name in map(self.name_of, both) if name is not None}
        return result

    def _of(self, name: Name) -> Iterator[tuple[str, Record]]:
        stands = derived(name)
        key = f"{name.namespace}/{name.name}"
        service = self._services.get(f"{name.namespace}/{stands}")
        if service is None:
            self._derived.pop((name.namespace, stands), None)
        else:
            self._derived[name.namespace, stands] = name
        for path, found in (
            (path_of(EXPORTS.format(self._version), *name), self._exports.get(key)),
            (path_of(IMPORTS.format(self._version), *name), self._imports.get(key)),
            (path_of(SERVICES, name.namespace, stands), service),
        ):
            if found is not None:
                yield path, found
        for one in self._slices.indexed(OF_SERVICE, (name.namespace, name.name)):
            yield path_of(SLICES, one.namespace, one.name), one

    def _of_cluster(self) -> Iterator[tuple[str, Record]]:
        for one in self._properties.objects if self._properties else ():
            yield f"{PROPERTIES.format(self._about)}/{one.name}", one


class Asked:
    """The ClusterProperties of a member, each asked for by its name: our account may not list those of others."""

    def __init__(self, api: Api, version: str, names: Iterable[str] = PROPERTY_NAMES) -> None:
        """Ask nothing yet."""
        self._api, self._path, self._names = api, PROPERTIES.format(version), tuple(names)
        self._found: dict[str, ClusterProperty] = {}

    def refresh(self) -> None:
        """Ask; raise Unreachable, or Refused for another reason than that one does not exist."""
        found = {}
        for name in self._names:
            try:
                found[name] = read_cluster_property(self._api.get(f"{self._path}/{name}"), MANAGER)
            except Refused as refused:
                if refused.status != _NOT_FOUND:
                    raise
        self._found = found

    def get(self, key: str) -> ClusterProperty | None:
        """Return one by its name."""
        return self._found.get(key)

    @property
    def objects(self) -> list[ClusterProperty]:
        """Those that exist."""
        return [*self._found.values()]
