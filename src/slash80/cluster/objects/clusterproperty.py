"""ClusterProperties: what a cluster says of itself, as of the clusterset that it belongs to.

https://github.com/kubernetes/enhancements/tree/master/keps/sig-multicluster/2149-clusterid
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from slash80.cluster.objects.managed import NOTHING, applied
from slash80.cluster.objects.reading import Document, Resource, Unreadable, mapping, text
from slash80.cluster.objects.servicespec import MANAGED_BY

GROUP = "about.k8s.io"
VERSIONS = ("v1beta1", "v1alpha1")  # the best one first
_NAME, _WORD, _UID = 253, 64, 64


@dataclass(frozen=True, slots=True)
class ClusterProperty:
    """A property as its manager compares it."""

    name: str
    uid: str
    managed_by: str = ""
    applied: bytes = NOTHING
    deleting: bool = False


def read_cluster_property(document: Document, manager: str) -> ClusterProperty:
    """Read one."""
    metadata = mapping(document, "metadata")
    name = text(metadata, "name", most=_NAME)
    if not name:
        raise Unreadable("metadata.name is missing")
    return ClusterProperty(
        name,
        text(metadata, "uid", most=_UID),
        text(mapping(metadata, "labels"), MANAGED_BY, most=_WORD),
        applied(document, manager),
        deleting=bool(metadata.get("deletionTimestamp")),
    )


def cluster_properties(version: str, manager: str) -> Resource[ClusterProperty]:
    """Return the kind, at a version of its API."""
    return Resource(f"/apis/{GROUP}/{version}/clusterproperties", partial(read_cluster_property, manager=manager))
