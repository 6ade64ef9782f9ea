"""The addresses that a node may hand out: prefixes less what is reserved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from slash80.addressing.family import Address, Family, Prefix


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses from `first` to `last`, both included; what `ipv4.exclude` and `ipv6.exclude` list."""

    first: Address
    last: Address

    def __contains__(self, address: Address) -> bool:
        """Report whether an address of the same family lies inside."""
        return address.version == self.first.version and int(self.first) <= int(address) <= int(self.last)

    @classmethod
    def of(cls, network: Prefix) -> Range:
        """Return all addresses of a network."""
        return cls(network.network_address, network.broadcast_address)

    def without(self, others: Iterable[Range]) -> list[Range]:
        """Return what is left of it beside other ranges, in order."""
        family = type(self.first)
        taken = [(int(r.first), int(r.last)) for r in others if r.first.version == self.first.version]
        found = free_parts(int(self.first), int(self.last), sorted(taken))
        return [Range(family(first), family(last)) for first, last in found]


def free_parts(first: int, last: int, taken: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Return what is left between two numbers beside the `taken` parts, which are sorted and may overlap."""
    for low, high in taken:
        if low > last:
            break
        if low > first:
            yield first, low - 1
        first = max(first, high + 1)
    if first <= last:
        yield first, last


@dataclass(frozen=True)
class Pool:
    """One family's prefixes in order of preference, the excluded ranges, and whether IPv4 keeps its edges."""

    family: Family
    prefixes: tuple[Prefix, ...]
    exclude: tuple[Range, ...] = ()
    reserve_edges: bool = True

    def prefix_of(self, address: Address) -> Prefix | None:
        """Return the prefix that holds the address."""
        return next((prefix for prefix in self.prefixes if address in prefix), None)

    def why_not(self, address: Address) -> str:
        """Return why an address is never handed out; empty when it may be."""
        prefix = self.prefix_of(address)
        if prefix is None:
            return f"it is outside {self}"
        if self._edge(prefix, int(address)):
            return f"it is the {self._edge(prefix, int(address))} address of {prefix}"
        excluded = next((r for r in self.exclude if address in r), None)
        return f"it is excluded by {self.family.key}.exclude" if excluded else ""

    def _edge(self, prefix: Prefix, number: int) -> str:
        if self.family.version == 6:
            # all zeros is every router's anycast address (RFC 4291, 2.6.1): reserved whatever is configured
            return "subnet-router anycast" if number == int(prefix.network_address) else ""
        edges = {int(prefix.network_address): "network", int(prefix.broadcast_address): "broadcast"}
        return edges.get(number, "") if self.reserve_edges else ""

    @cached_property
    def ranges(self) -> tuple[Range, ...]:
        """What may be handed out, as ranges that do not overlap, in order of preference."""
        return tuple(r for prefix in self.prefixes for r in self._ranges_of(prefix))

    def _ranges_of(self, prefix: Prefix) -> list[Range]:
        first, last = int(prefix.network_address), int(prefix.broadcast_address)
        if self.family.version == 6 or self.reserve_edges:
            first += 1
        if self.family.version == 4 and self.reserve_edges:
            last -= 1
        return Range(self.family.address(first), self.family.address(last)).without(self.exclude)

    def left(self, occupied: Iterable[Range]) -> list[Range]:
        """Return what may be handed out beside these ranges, in order of preference."""
        return [part for whole in self.ranges for part in whole.without(occupied)]

    @property
    def total(self) -> int:
        """How many addresses may be handed out."""
        return sum(int(r.last) - int(r.first) + 1 for r in self.ranges)

    def __str__(self) -> str:
        """Name the prefixes."""
        return ", ".join(map(str, self.prefixes))
