"""ServiceImports of the Multi-Cluster Services API: which Services of the clusterset this cluster can use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from slash80.cluster.objects.conditions import Condition, read_conditions
from slash80.cluster.objects.managed import NOTHING, applied, other_managers
from slash80.cluster.objects.ports import Port, read_ports
from slash80.cluster.objects.reading import Document, Resource, mapping, mappings, named, text, texts
from slash80.cluster.objects.serviceexport import GROUP
from slash80.cluster.objects.servicespec import FAMILIES, MANAGED_BY

_WORD, _UID = 64, 64


@dataclass(frozen=True, slots=True)
class ServiceImport:
    """An import with its digests of what a manager has applied to it and to its status.

    `managers` are the other ones that have set something of it, for the message about one that is not ours.
    """

    namespace: str
    name: str
    uid: str
    type: str = "ClusterSetIP"
    families: tuple[int, ...] = ()
    ips: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    clusters: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    generation: int = 0
    managed_by: str = ""
    managers: tuple[str, ...] = ()
    applied: bytes = NOTHING
    status: bytes = NOTHING
    deleting: bool = False


def read_service_import(document: Document, manager: str) -> ServiceImport:
    """Read one."""
    namespace, name = named(document)
    metadata, spec, status = (mapping(document, key) for key in ("metadata", "spec", "status"))
    generation = metadata.get("generation")
    return ServiceImport(
        namespace,
        name,
        text(metadata, "uid", most=_UID),
        text(spec, "type", most=_WORD),
        tuple(FAMILIES[one] for one in texts(spec, "ipFamilies") if one in FAMILIES),
        tuple(texts(spec, "ips")),
        tuple(read_ports(spec)),
        tuple(text(one, "cluster", most=_WORD) for one in mappings(status, "clusters")),
        read_conditions(status),
        generation if type(generation) is int else 0,
        text(mapping(metadata, "labels"), MANAGED_BY, most=_WORD),
        other_managers(document, manager),
        applied(document, manager),
        applied(document, manager, "status"),
        deleting=bool(metadata.get("deletionTimestamp")),
    )


def service_imports(version: str, manager: str) -> Resource[ServiceImport]:
    """Return the kind, at a version of its API."""
    return Resource(f"/apis/{GROUP}/{version}/serviceimports", partial(read_service_import, manager=manager))
