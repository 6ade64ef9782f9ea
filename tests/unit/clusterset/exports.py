"""Exports for the clusterset's tests: one that is given, any that there may be, and what a hostile member says."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from hypothesis import strategies as st

from slash80.cluster.objects.endpointslice import Endpoint
from slash80.cluster.objects.ports import Port
from slash80.clusterset.records import Export, Name, Properties, Slice

DB = Name("shop", "db")
BORN = 1_800_000_000  # in 2027, after the members of tests joined
DOCUMENT: dict[str, Any] = {
    "namespace": "shop",
    "name": "db",
    "created": BORN,
    "families": [6],
    "ports": [["pg", "TCP", 5432]],
    "slices": [
        {"family": 6, "ports": [["pg", "TCP", 15432]], "endpoints": [{"address": "2001:db8::1", "hostname": "db-0"}]}
    ],
}
LABELS = st.sampled_from(["a", "b", "web", "x-1"])
PAIRS = st.dictionaries(LABELS, LABELS, max_size=2).map(lambda found: tuple(sorted(found.items())))
PROTOCOLS = st.sampled_from(["TCP", "UDP", "SCTP"])
NUMBERS = st.sampled_from([80, 81, 443])


def port(name: str = "pg", number: int = 5432, protocol: str = "TCP", app_protocol: str = "") -> Port:
    """Return a Service's port."""
    return Port(name, protocol, number, app_protocol)


def endpoints(cluster: int, *names: str, count: int = 1) -> Slice:
    """Return a slice of endpoints in the prefix of a member, with these ports at 1000 and on."""
    ports = tuple(Port(name, "TCP", 1000 + number) for number, name in enumerate(names or ("pg",)))
    base = int(IPv6Address(f"2001:db8:{cluster:x}::1"))
    return Slice(6, ports, tuple(Endpoint(IPv6Address(base + number)) for number in range(count)))


def export(cluster: int = 0, *ports: Port, created: int = BORN, **properties: Any) -> Export:  # noqa: ANN401 -- any property
    """Return an export of `shop/db`, with one endpoint in the member's prefix behind all its ports."""
    found = ports or (port(),)
    slices = (endpoints(cluster, *(one.name for one in found)),)
    return Export(DB, created, (6,), found, Properties(**properties), slices)


def without_nodes(found: Export) -> Export:
    """Return an export as other clusters get it."""
    slices = tuple(
        replace(one, endpoints=tuple(replace(endpoint, node="") for endpoint in one.endpoints)) for one in found.slices
    )
    return replace(found, slices=slices)


@st.composite
def ports_of_a_service(draw: st.DrawFn) -> tuple[Port, ...]:
    """Draw ports with different names, and different numbers of one protocol."""
    drawn = draw(st.lists(st.builds(Port, LABELS, PROTOCOLS, NUMBERS, st.sampled_from(["", "http"])), max_size=3))
    by_name = {one.name: one for one in drawn}
    return tuple({(one.protocol, one.port): one for one in by_name.values()}.values()) or (Port("a", "TCP", 80),)


@st.composite
def any_export(draw: st.DrawFn, name: Name = DB) -> Export:
    """Draw an export with everything that one may have."""
    found = draw(ports_of_a_service())
    affinity = draw(st.sampled_from(["None", "ClientIP"]))
    properties = Properties(
        draw(st.booleans()),
        affinity,
        draw(st.none() | st.just(600)) if affinity == "ClientIP" else None,
        draw(st.sampled_from(["Cluster", "Local"])),
        draw(st.sampled_from(["", "PreferClose"])),
        draw(PAIRS),
        draw(PAIRS),
    )
    addresses = st.integers(1, 9).map(lambda number: IPv6Address(f"2001:db8::{number}"))
    flags = st.booleans()
    endpoint = st.builds(
        Endpoint, addresses, flags, flags, flags, st.just("") | LABELS, LABELS, st.just(()), st.just("worker-1")
    )
    endpoint_ports = tuple(Port(one.name, one.protocol, one.port + 1000, one.app_protocol) for one in found)
    six = st.builds(Slice, st.just(6), st.just(endpoint_ports), st.lists(endpoint, max_size=2).map(tuple))
    four = st.just(Slice(4, endpoint_ports, (Endpoint(IPv4Address("192.0.2.1")),)))
    slices = draw(st.lists(six | four, max_size=3).map(tuple))
    families = draw(st.sampled_from([(6,), (6, 4), (4, 6), (4,)]))
    return Export(name, draw(st.integers(BORN, BORN + 2)), families, found, properties, slices)


EXPORTS = any_export()
