"""Services with all that other clusters must know of them, and those that stand for imported ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from slash80.cluster.objects.managed import NOTHING, applied
from slash80.cluster.objects.ports import Port, read_ports
from slash80.cluster.objects.reading import Document, Resource, mapping, named, text, texts

MANAGED_BY = "app.kubernetes.io/managed-by"
SERVICE_NAME = "multicluster.kubernetes.io/service-name"
FAMILIES = {"IPv4": 4, "IPv6": 6}
_WORD, _UID = 64, 64
HEADLESS = "None"


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A Service; `managed_by` and `imported` are labels that say who made it, and of which imported Service."""

    namespace: str
    name: str
    uid: str
    type: str = "ClusterIP"
    families: tuple[int, ...] = ()
    cluster_ips: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    session_affinity: str = "None"
    affinity_seconds: int | None = None
    internal_traffic_policy: str = "Cluster"
    traffic_distribution: str = ""
    managed_by: str = ""
    imported: str = ""
    applied: bytes = NOTHING
    deleting: bool = False

    @property
    def headless(self) -> bool:
        """Whether it has no address of its own."""
        return HEADLESS in self.cluster_ips


def read_service_spec(document: Document, manager: str) -> ServiceSpec:
    """Read a Service; `applied` is the digest of what the manager has applied to it."""
    namespace, name = named(document)
    metadata, spec = mapping(document, "metadata"), mapping(document, "spec")
    labels = mapping(metadata, "labels")
    affinity = text(spec, "sessionAffinity", most=_WORD) or "None"
    managed = text(labels, MANAGED_BY, most=_WORD)
    return ServiceSpec(
        namespace,
        name,
        text(metadata, "uid", most=_UID),
        text(spec, "type", most=_WORD) or "ClusterIP",
        tuple(FAMILIES[one] for one in texts(spec, "ipFamilies") if one in FAMILIES),
        tuple(texts(spec, "clusterIPs") or filter(None, [text(spec, "clusterIP", most=_WORD)])),
        tuple(read_ports(spec)),
        affinity,
        _timeout(spec) if affinity == "ClientIP" else None,
        text(spec, "internalTrafficPolicy", most=_WORD) or "Cluster",
        text(spec, "trafficDistribution", most=_WORD),
        managed,
        text(labels, SERVICE_NAME, most=_WORD) if managed == manager else "",
        applied(document, manager) if managed == manager else NOTHING,
        deleting=bool(metadata.get("deletionTimestamp")),
    )


def service_specs(manager: str) -> Resource[ServiceSpec]:
    """Return the kind as a manager of some of them sees it."""
    return Resource("/api/v1/services", partial(read_service_spec, manager=manager))


def _timeout(spec: Mapping[str, Any]) -> int | None:
    found = mapping(mapping(spec, "sessionAffinityConfig"), "clientIP").get("timeoutSeconds")
    return found if type(found) is int else None
