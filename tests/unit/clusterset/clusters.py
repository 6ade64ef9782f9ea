"""Clusters for tests: what their API servers hold, and what becomes of it."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from slash80.addressing.family import Prefix
from slash80.cluster.objects.endpointslice import Endpoint, EndpointSlice
from slash80.cluster.objects.ports import Port
from slash80.cluster.objects.serviceexport import ServiceExport
from slash80.cluster.objects.servicespec import ServiceSpec
from slash80.clusterset.documents import MANAGER
from slash80.clusterset.exporter import Exported, exported
from slash80.clusterset.records import Import, ImportedSlice, Name, Properties, Slice

WEB = Name("shop", "web")
NOW = "2026-11-28T12:00:00Z"
TCP, UDP = Port("tcp", "TCP", 42), Port("udp", "UDP", 42)


@dataclass(frozen=True)
class Entry:
    """A member of the file."""

    id: str
    prefixes: tuple[Prefix, ...]
    namespaces: tuple[str, ...] = ("*",)
    since: dt.date = dt.date(1970, 1, 1)

    def may_export(self, namespace: str) -> bool:
        """Report whether its exports of a namespace are believed."""
        return "*" in self.namespaces or namespace in self.namespaces


def entry(cluster: str, *prefixes: str, namespaces: tuple[str, ...] = ("*",)) -> Entry:
    """Return a member with prefixes."""
    return Entry(cluster, tuple(ip_network(one) for one in prefixes), namespaces)


@dataclass
class Cluster:
    """The ServiceExports, Services and EndpointSlices of one cluster, and its entry in the file."""

    member: Entry | None
    exports: dict[Name, ServiceExport] = field(default_factory=dict)
    services: dict[Name, ServiceSpec] = field(default_factory=dict)
    slices: dict[Name, list[EndpointSlice]] = field(default_factory=dict)

    def export(self, service: ServiceSpec, *addresses: str, created: int = 0, port: int = 8080, **more: Any) -> None:  # noqa: ANN401 -- what a test gives
        """Have a Service with pods of these addresses behind each of its ports, and export it."""
        name = Name(service.namespace, service.name)
        self.services[name] = service
        ports = tuple(Port(one.name, one.protocol, port, one.app_protocol) for one in service.ports)
        self.slices[name] = [*slices_of(name, ports, addresses)]
        self.exports[name] = ServiceExport(*name, "e", created, 1, **more)

    def exported(self) -> Exported:
        """Return what is exported."""
        return exported(
            self.exports.values(),
            self.services.get,
            lambda name: self.slices.get(name, []),
            member=self.member,
            manager=MANAGER,
        )


def slices_of(name: Name, ports: tuple[Port, ...], addresses: Iterable[str]) -> Iterable[EndpointSlice]:
    """Return a slice for each family of the addresses."""
    found = [ip_address(one) for one in addresses]
    for family in (6, 4):
        ends = tuple(Endpoint(one, node="worker") for one in found if one.version == family)
        if ends:
            yield EndpointSlice(*name, name.name, family, ports, ends)


def service(
    *ports: Port,
    families: tuple[int, ...] = (6,),
    headless: bool = False,
    name: Name = WEB,
    **more: Any,  # noqa: ANN401 -- what a test gives
) -> ServiceSpec:
    """Return a Service."""
    ips = ("None",) if headless else tuple("fd00::1" if family == 6 else "10.0.0.1" for family in families)
    return ServiceSpec(
        *name,
        "s",
        families=families,
        cluster_ips=ips,
        ports=ports or (TCP,),
        **more,
    )


def endpoints(*addresses: str, **more: Any) -> tuple[Endpoint, ...]:  # noqa: ANN401 -- what a test gives
    """Return endpoints."""
    return tuple(Endpoint(ip_address(one), **more) for one in addresses)


def imported(
    slices: dict[str, tuple[Endpoint, ...]],
    *,
    families: tuple[int, ...] = (6,),
    ports: tuple[Port, ...] = (Port("http", "TCP", 80),),
    name: Name = WEB,
    **properties: Any,  # noqa: ANN401 -- what a test gives
) -> Import:
    """Return a Service of the clusterset with endpoints by cluster."""
    found = tuple(
        ImportedSlice(cluster, Slice(family, (Port("http", "TCP", 8080),), ends))
        for cluster, all_of_it in sorted(slices.items())
        for family in (6, 4)
        if (ends := tuple(one for one in all_of_it if one.address.version == family))
    )
    kept = Properties(**properties)
    return Import(name, families, ports, kept, tuple(sorted(slices)), found)
