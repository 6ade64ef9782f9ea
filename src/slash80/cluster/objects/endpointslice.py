"""EndpointSlices: those of this cluster's Services, to export them, and those of imported Services, to compare them.

https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from slash80.addressing.family import Address
from slash80.cluster.objects.managed import applied
from slash80.cluster.objects.ports import Port, read_ports
from slash80.cluster.objects.reading import Document, Resource, mapping, mappings, named, text, texts
from slash80.cluster.objects.service import SERVICE_NAME
from slash80.cluster.objects.servicespec import FAMILIES
from slash80.cluster.objects.servicespec import SERVICE_NAME as IMPORTED
from slash80.cni import addresses

PATH = "/apis/discovery.k8s.io/v1/endpointslices"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SOURCE = "multicluster.kubernetes.io/source-cluster"
_NAME, _WORD, _UID = 253, 64, 64
_HINTS = 8  # zones, as the API bounds them


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint by its first address, which is the one that kube-proxy uses, with its conditions.

    `node` is set for endpoints of this cluster only, and never sent: kube-proxy takes an endpoint for local by the name
    of its node alone, and another cluster's `worker-1` is not ours.
    """

    address: Address
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    hostname: str = ""
    zone: str = ""
    zone_hints: tuple[str, ...] = ()
    node: str = ""


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """The endpoints of a Service of this cluster, of one family; `importer` is another program that imported it."""

    namespace: str
    name: str
    service: str
    family: int
    ports: tuple[Port, ...]
    endpoints: tuple[Endpoint, ...]
    importer: str = ""


@dataclass(frozen=True, slots=True)
class WrittenSlice:
    """A slice of an imported Service as its manager compares it.

    `proxied` is whether it is one of a Service for kube-proxy, and `ready` whether any of its endpoints is.
    """

    namespace: str
    name: str
    uid: str
    service: str
    cluster: str
    applied: bytes
    deleting: bool = False
    proxied: bool = False
    ready: bool = False


def read_endpoint_slice(document: Document) -> EndpointSlice | None:
    """Read the slice of a Service; None for one of no Service, or of names instead of addresses."""
    namespace, name = named(document)
    labels = mapping(mapping(document, "metadata"), "labels")
    service, imported = text(labels, SERVICE_NAME, most=_NAME), text(labels, IMPORTED, most=_NAME)
    family = FAMILIES.get(text(document, "addressType", most=_WORD))
    if not (service or imported) or family is None:
        return None
    importer = text(labels, MANAGED_BY, most=_NAME) or "an unnamed program"
    return EndpointSlice(
        namespace,
        name,
        service,
        family,
        tuple(read_ports(document)),
        tuple(_endpoints(document, family)),
        importer if imported else "",
    )


def read_written_slice(document: Document, manager: str) -> WrittenSlice:
    """Read a slice that a manager has made of an imported Service."""
    namespace, name = named(document)
    metadata = mapping(document, "metadata")
    labels = mapping(metadata, "labels")
    return WrittenSlice(
        namespace,
        name,
        text(metadata, "uid", most=_UID),
        text(labels, IMPORTED, most=_NAME),
        text(labels, SOURCE, most=_NAME),
        applied(document, manager),
        deleting=bool(metadata.get("deletionTimestamp")),
        proxied=bool(text(labels, SERVICE_NAME, most=_NAME)),
        ready=any(mapping(one, "conditions").get("ready") is not False for one in mappings(document, "endpoints")),
    )


def endpoint_slices(manager: str) -> Resource[EndpointSlice]:
    """Return the kind without those of a manager of imported ones."""
    return Resource(PATH, read_endpoint_slice, labels=f"{MANAGED_BY}!={manager}")


def written_slices(manager: str) -> Resource[WrittenSlice]:
    """Return those of a manager of imported ones alone."""
    return Resource(PATH, partial(read_written_slice, manager=manager), labels=f"{MANAGED_BY}={manager}")


def _endpoints(document: Document, family: int) -> Iterator[Endpoint]:
    for one in mappings(document, "endpoints"):
        conditions = mapping(one, "conditions")
        with suppress(ValueError, IndexError):
            address = addresses.address(texts(one, "addresses")[0])
            if address.version == family:
                yield Endpoint(
                    address,
                    # unknown is ready, and what says nothing else serves as long as it is ready
                    conditions.get("ready") is not False,
                    conditions.get("serving", conditions.get("ready")) is not False,
                    conditions.get("terminating") is True,
                    text(one, "hostname", most=_NAME),
                    text(one, "zone", most=_NAME),
                    tuple(_hints(one)),
                    text(one, "nodeName", most=_NAME),
                )


def _hints(endpoint: Mapping[str, Any]) -> Iterator[str]:
    for zone in mappings(mapping(endpoint, "hints"), "forZones", most=_HINTS):
        if name := text(zone, "name", most=_NAME):
            yield name
