"""What a cluster exports, and what the exports of all clusters make of a Service: values, without I/O or a clock.

The words are those of the Multi-Cluster Services API
(https://github.com/kubernetes/enhancements/tree/master/keps/sig-multicluster/1645-multi-cluster-services-api).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from slash80.cluster.objects.endpointslice import Endpoint
from slash80.cluster.objects.ports import Port

Pairs = tuple[tuple[str, str], ...]  # labels or annotations, in the order of their keys


class Name(NamedTuple):
    """Namespace and name of a Service: the same Service in all clusters (KEP-1645, namespace sameness)."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Write it as kubectl does."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Slice:
    """Endpoints of one family (4 or 6), a hundred at most, that have the same ports."""

    family: int
    ports: tuple[Port, ...]
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Properties:
    """Of a Service what must be the same in all clusters, or the oldest export's counts and the others conflict."""

    headless: bool = False
    session_affinity: str = "None"
    affinity_seconds: int | None = None
    internal_traffic_policy: str = "Cluster"
    traffic_distribution: str = ""
    labels: Pairs = ()
    annotations: Pairs = ()


@dataclass(frozen=True, slots=True)
class Export:
    """A Service that a cluster exports. `created` is when its ServiceExport was made, in seconds since 1970, UTC.

    `families` are those of the Service (4, 6), in its order; there may be slices of some of them only.
    """

    name: Name
    created: int
    families: tuple[int, ...]
    ports: tuple[Port, ...]
    properties: Properties = Properties()
    slices: tuple[Slice, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedSlice:
    """A slice of one cluster, with the ports that did not lose a conflict."""

    cluster: str
    slice: Slice


@dataclass(frozen=True, slots=True)
class Import:
    """A Service of the clusterset: its ServiceImport, and the slices behind it, in the order of the clusters' ids.

    `changed_by` is whose exports made it another one than before, where that is known; it makes no import a different
    one.
    """

    name: Name
    families: tuple[int, ...]
    ports: tuple[Port, ...]
    properties: Properties
    clusters: tuple[str, ...]
    slices: tuple[ImportedSlice, ...]
    changed_by: frozenset[str] = field(default=frozenset(), compare=False)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why exports of one Service contradict each other: a reason of the API (PortConflict, ...), and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Merged:
    """What the exports of all clusters come to, by Service. Every cluster computes the same from the same exports."""

    imports: Mapping[Name, Import] = field(default_factory=dict)
    conflicts: Mapping[Name, tuple[Conflict, ...]] = field(default_factory=dict)
