"""Elements of host ports: attachments in, elements of maps out, and mappings read back out of these.

A mapping is in two maps under one key: to which address a connection leads, and to which port. nft before 1.0 cannot
load a map that leads to both at once. And it is in a set of translated connections, by which chain `untrusted` knows
them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from slash80.addressing.attachment import Attachment
from slash80.addressing.family import FAMILIES, Address, Family, family_of
from slash80.addressing.openings import PortMapping, in_order
from slash80.firewall.records import Element, NamedSet, Part

_KINDS = {False: "hostport", True: "anyhostport"}  # by whether every address of the node's is meant, or one


def maps(family: Family, *, every: bool) -> tuple[str, str]:
    """Return the names of the maps to addresses and to ports of pods, from every host address or from one."""
    return f"{_KINDS[every]}_address{family.version}", f"{_KINDS[every]}_port{family.version}"


def translated_set(family: Family) -> str:
    """Return the name of the set of translated connections: the pod, protocol, its port, the host's port."""
    return f"hostport_pod{family.version}"


def sets(family: Family) -> Iterator[NamedSet]:
    """Return the maps and the set of a family."""
    address, port = f"ipv{family.version}_addr", "inet_proto . inet_service"
    for every, key in ((False, f"{address} . {port}"), (True, port)):
        to_address, to_port = maps(family, every=every)
        yield NamedSet(to_address, key, data=address)
        yield NamedSet(to_port, key, data="inet_service")
    yield NamedSet(translated_set(family), f"{address} . {port} . inet_service")


_TO_PORT = dict(maps(family, every=every) for family in FAMILIES for every in _KINDS)
_TO_PORTS = frozenset(_TO_PORT.values())
_NAMES = frozenset(one.name for family in FAMILIES for one in sets(family))


def of_attachment(attachment: Attachment) -> Iterator[Element]:
    """Return the elements of an attachment's mappings, each of a family that it has."""
    pods = {one.version: one for one in attachment.assignment.addresses}
    for mapping in attachment.openings.mappings:
        if pod := pods.get(mapping.host_ip.version):
            yield from _of_mapping(mapping, pod)


def _of_mapping(mapping: PortMapping, pod: Address) -> Iterator[Element]:
    every = mapping.host_ip.is_unspecified
    to_address, to_port = maps(family_of(pod), every=every)
    port: tuple[Part, ...] = mapping.protocol, mapping.host_port
    key = port if every else (mapping.host_ip, *port)
    yield Element(to_address, key, data=(pod,))
    yield Element(to_port, key, data=(mapping.container_port,))
    yield Element(translated_set(family_of(pod)), (pod, mapping.protocol, mapping.container_port, mapping.host_port))


def leading_to(addresses: Collection[object], installed: Iterable[Element]) -> frozenset[Element]:
    """Return those of the installed elements that lead to one of the addresses."""
    ours = [one for one in installed if one.set_name in _NAMES]
    found = {one for one in ours if one.set_name not in _TO_PORTS and (one.data or one.key)[0] in addresses}
    ports = {(_TO_PORT[one.set_name], one.key) for one in found if one.data}
    return frozenset(found | {one for one in ours if (one.set_name, one.key) in ports})


def mappings(addresses: Collection[Address], installed: Iterable[Element]) -> tuple[PortMapping, ...]:
    """Read the mappings that lead to one of the addresses; one that lacks an element of a map leads nowhere."""
    found = leading_to(addresses, installed)
    ports = {(one.set_name, one.key): one.data for one in found}
    pairs = ((one, ports.get((_TO_PORT.get(one.set_name, ""), one.key))) for one in found)
    return in_order(_mapping(one, port[0]) for one, port in pairs if port)


def _mapping(element: Element, container_port: Part) -> PortMapping:
    *host, protocol, host_port = element.key
    host_ip = host[0] if host else family_of(element.data[0]).address(0)  # type: ignore[arg-type]  # by the set's type
    return PortMapping(protocol, host_ip, host_port, container_port)  # type: ignore[arg-type]  # the same


def rivals(new: Iterable[Element], installed: Iterable[Element]) -> frozenset[Element]:
    """Return the installed elements of maps that lead elsewhere from where new ones lead."""
    leads = {(one.set_name, one.key): one.data for one in new if one.data}
    return frozenset(one for one in installed if leads.get((one.set_name, one.key), one.data) != one.data)
