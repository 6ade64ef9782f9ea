"""Openings: the ports of a pod that lead in from outside, by a host port or by exposure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from slash80.addressing.family import Address, Family, family_of
from slash80.addressing.ports import PortRange, Protocol

EXPOSE = "slash80.io/expose"  # annotation of a Pod: the ports that it asks to have open to everybody
ALLOW_EXPOSE = "slash80.io/allow-expose"  # label of a Namespace whose pods may expose ports, with the value "true"
_COMPACT = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A host port that leads to a port of the pod; the unspecified address is every address of the node's."""

    protocol: Protocol
    host_ip: Address
    host_port: int
    container_port: int

    def takes_from(self, other: PortMapping) -> bool:
        """Report whether both mappings want one port of one address of the node's."""
        same = (self.protocol, self.host_port, self.host_ip.version)
        return same == (other.protocol, other.host_port, other.host_ip.version) and (
            self.host_ip == other.host_ip or self.host_ip.is_unspecified or other.host_ip.is_unspecified
        )

    def __str__(self) -> str:
        """Write the host's side."""
        host = f"[{self.host_ip}]" if self.host_ip.version == 6 else str(self.host_ip)
        return f"{self.protocol} {host}:{self.host_port}"


@dataclass(frozen=True, slots=True)
class PortRequest:
    """A host port as a runtime asks for it; without an address it is one of every address of both families."""

    protocol: Protocol
    host_ip: Address | None
    host_port: int
    container_port: int


def mappings_of(requested: Iterable[PortRequest], families: Collection[Family]) -> tuple[PortMapping, ...]:
    """Return the mappings of a pod that has these families; raise ValueError for one that it cannot have."""
    found: dict[tuple[Protocol, Address, int], PortMapping] = {}
    for one in requested:
        for host_ip in [family.address(0) for family in families] if one.host_ip is None else [one.host_ip]:
            mapping = PortMapping(one.protocol, host_ip, one.host_port, one.container_port)
            if family_of(host_ip) not in families:
                raise ValueError(f"{mapping} cannot lead to the pod, which gets no {family_of(host_ip)} address")
            if mapping != found.setdefault((one.protocol, host_ip, one.host_port), mapping):
                raise ValueError(f"{mapping} is asked for twice, for different ports of the pod")
    return in_order(found.values())


def in_order(mappings: Iterable[PortMapping]) -> tuple[PortMapping, ...]:
    """Return mappings in one order, whichever they came in."""
    return tuple(sorted(mappings, key=lambda one: (one.host_ip.version, one.host_ip, one.protocol, one.host_port)))


def conflicts(asked: Iterable[PortMapping], held: Iterable[PortMapping]) -> Iterator[tuple[PortMapping, PortMapping]]:
    """Return the pairs that want one port of one address, one of each side.

    By port: to compare each two of a thousand mappings takes seconds, in which no other pod of the node is attached.
    """
    by_port: dict[int, list[PortMapping]] = {}
    for one in asked:
        by_port.setdefault(one.host_port, []).append(one)
    for other in held:
        yield from ((one, other) for one in by_port.get(other.host_port, ()) if one.takes_from(other))


@dataclass(frozen=True, slots=True)
class Openings:
    """All openings of an attachment.

    `expose` are the ports that the pod asks to be open to everybody, no two of which overlap, and `expose_allowed` is
    whether they are.
    """

    mappings: tuple[PortMapping, ...] = ()
    expose: tuple[PortRange, ...] = ()
    expose_allowed: bool = False

    @property
    def exposed(self) -> tuple[PortRange, ...]:
        """The ports that are open to everybody."""
        return self.expose if self.expose_allowed else ()

    @property
    def loopback(self) -> tuple[Family, ...]:
        """The families in which a host port is one of the node's loopback addresses as well."""
        hosts = [one.host_ip for one in self.mappings if one.host_ip.is_unspecified or one.host_ip.is_loopback]
        return tuple({family_of(host): None for host in hosts})


NO_OPENINGS = Openings()


def text_of(openings: Openings) -> str:
    """Write openings as the store keeps them: nothing for a pod without any, as most are."""
    if openings == NO_OPENINGS:
        return ""
    mapped = [[one.protocol, str(one.host_ip), one.host_port, one.container_port] for one in openings.mappings]
    expose = list(map(str, openings.expose))
    return _COMPACT.encode({"mappings": mapped, "expose": expose, "exposeAllowed": openings.expose_allowed})


def from_text(text: str) -> Openings:
    """Read what `text_of` wrote."""
    if not text:
        return NO_OPENINGS
    found = json.loads(text)
    return Openings(
        tuple(PortMapping(Protocol(one[0]), ip_address(one[1]), one[2], one[3]) for one in found["mappings"]),
        tuple(map(PortRange.parse, found["expose"])),
        found["exposeAllowed"],
    )
