"""What is to be wired, decided before the kernel is asked: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from slash80.addressing.family import FAMILIES, Address, Family, Prefix, family_of
from slash80.addressing.mac import Mac


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route of the pod through its gateway; None leaves a value to the kernel."""

    dst: Prefix
    mtu: int | None = None
    advmss: int | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class NodeRoute:
    """A route of the node: a prefix of another node, and that node's address."""

    dst: Prefix
    gateway: Address


@dataclass(frozen=True)
class Plan:
    """One attachment's wires: both ends, the pod's addresses and routes.

    `loopback` are the families in which connections to the node's own loopback may be translated to the pod.
    """

    host_ifname: str
    host_mac: Mac
    alias: str
    ifname: str
    mac: Mac
    mtu: int
    netns: str
    addresses: tuple[Address, ...]
    routes: tuple[RouteSpec, ...]
    loopback: tuple[Family, ...] = ()

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """The families that the pod gets an address of."""
        mine = {family_of(address) for address in self.addresses}
        return tuple(family for family in FAMILIES if family in mine)
