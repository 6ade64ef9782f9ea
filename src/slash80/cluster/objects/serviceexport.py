"""ServiceExports of the Multi-Cluster Services API: which Services of this cluster the other ones may use.

https://github.com/kubernetes/enhancements/tree/master/keps/sig-multicluster/1645-multi-cluster-services-api
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from slash80.cluster.objects.conditions import Condition, read_conditions
from slash80.cluster.objects.managed import NOTHING, applied
from slash80.cluster.objects.reading import Document, Resource, Unreadable, mapping, named, text
from slash80.errors import shown

GROUP = "multicluster.x-k8s.io"
VERSIONS = ("v1beta1", "v1alpha1")  # the best one first; they have the same schema
_MOST = 256  # labels or annotations
_KEY, _VALUE = 317, 4096  # characters
_UID, _TIME = 64, 64


@dataclass(frozen=True, slots=True)
class ServiceExport:
    """An export with what it wants to be exported, and the conditions that it has; `created` in seconds since 1970."""

    namespace: str
    name: str
    uid: str
    created: int
    generation: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    conditions: tuple[Condition, ...] = ()
    status: bytes = NOTHING
    deleting: bool = False


def read_service_export(document: Document, manager: str) -> ServiceExport:
    """Read one; `status` is the digest of what the manager has applied to its status."""
    namespace, name = named(document)
    metadata, spec = mapping(document, "metadata"), mapping(document, "spec")
    generation = metadata.get("generation")
    return ServiceExport(
        namespace,
        name,
        text(metadata, "uid", most=_UID),
        seconds(text(metadata, "creationTimestamp", most=_TIME)),
        generation if type(generation) is int else 0,
        read_pairs(spec, "exportedLabels"),
        read_pairs(spec, "exportedAnnotations"),
        read_conditions(mapping(document, "status")),
        applied(document, manager, "status"),
        deleting=bool(metadata.get("deletionTimestamp")),
    )


def service_exports(version: str, manager: str) -> Resource[ServiceExport]:
    """Return the kind, at a version of its API."""
    return Resource(f"/apis/{GROUP}/{version}/serviceexports", partial(read_service_export, manager=manager))


def read_pairs(parent: Mapping[str, Any], key: str) -> tuple[tuple[str, str], ...]:
    """Return labels or annotations in the order of their keys."""
    found = mapping(parent, key)
    if len(found) > _MOST:
        raise Unreadable(f"{key} has {len(found)} entries, of which at most {_MOST} are read")
    if long := next((name for name in found if len(name) > _KEY), None):
        raise Unreadable(f"{key} has a key of more than {_KEY} characters: {shown(long)}")
    return tuple(sorted((name, text(found, name, most=_VALUE)) for name in found))


def seconds(time: str) -> int:
    """Return a time of RFC 3339 in seconds since 1970."""
    try:
        return int(dt.datetime.fromisoformat(time).timestamp())
    except ValueError as error:
        raise Unreadable(f"metadata.creationTimestamp is {shown(time)}, which is not a time") from error
