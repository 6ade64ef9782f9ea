"""Services and EndpointSlices: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from slash80.addressing.family import Address
from slash80.addressing.ports import TCP, Protocol
from slash80.cluster.objects.ports import number_of, protocol_of
from slash80.cluster.objects.reading import Document, Resource, mapping, mappings, named, text, texts
from slash80.cni import addresses

_NAME = 253  # characters
_CHARACTERS = 64  # of an address
SERVICE_NAME = "kubernetes.io/service-name"  # label of the EndpointSlices of a Service


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service; `node_port` is 0 without one."""

    name: str
    protocol: Protocol
    port: int
    node_port: int = 0

    def __str__(self) -> str:
        """Write it as the command line takes it."""
        return f"{self.protocol}/{self.port}"


@dataclass(frozen=True, slots=True)
class Service:
    """A Service: its ClusterIPs, the addresses of its load balancers, and whether only local endpoints are used."""

    namespace: str
    name: str
    cluster_ips: tuple[Address, ...] = ()
    external: tuple[Address, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    local: bool = False

    def __str__(self) -> str:
        """Name it for people."""
        return f"Service {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """Where a Service's port of a name leads: an address of an endpoint, and its port; `node` may be empty."""

    name: str
    protocol: Protocol
    address: Address
    port: int
    node: str = ""


def read_service(document: Document) -> Service:
    """Read a Service; raise Unreadable where its name is missing."""
    spec, status = mapping(document, "spec"), mapping(document, "status")
    namespace, name = named(document)
    own = texts(spec, "clusterIPs") or [text(spec, "clusterIP", most=_CHARACTERS)]
    led = [text(one, "ip", most=_CHARACTERS) for one in mappings(mapping(status, "loadBalancer"), "ingress")]
    return Service(
        namespace,
        name,
        tuple(_addresses(own)),
        tuple(_addresses([*led, *texts(spec, "externalIPs")])),
        tuple(_ports(spec)),
        local=spec.get("externalTrafficPolicy") == "Local",
    )


def read_endpoint_slice(document: Document) -> tuple[EndpointPort, ...]:
    """Read the endpoints of a slice that take connections; the API says of one without a condition that it does."""
    ports = [
        (text(one, "name", most=_NAME), _protocol(one), number_of(one, "port")) for one in mappings(document, "ports")
    ]
    return tuple(
        EndpointPort(name, protocol, address, port, text(endpoint, "nodeName", most=_NAME))
        for endpoint in mappings(document, "endpoints")
        if mapping(endpoint, "conditions").get("ready") is not False
        for address in list(_addresses(texts(endpoint, "addresses")))[:1]  # of which kube-proxy uses the first
        for name, protocol, port in ports
    )


SERVICES = Resource("/api/v1/services", read_service)
ENDPOINT_SLICES = Resource("/apis/discovery.k8s.io/v1/endpointslices", read_endpoint_slice)


def _addresses(values: list[str]) -> Iterator[Address]:
    """Yield what is an address; `None` of a headless Service is not."""
    for value in values:
        with suppress(ValueError):
            yield addresses.address(value)


def _ports(spec: Mapping[str, Any]) -> Iterator[ServicePort]:
    for one in mappings(spec, "ports"):
        yield ServicePort(
            text(one, "name", most=_NAME), _protocol(one), number_of(one, "port"), number_of(one, "nodePort")
        )


def _protocol(port: Mapping[str, Any]) -> Protocol:
    return protocol_of(port) or TCP
