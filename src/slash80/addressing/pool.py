"""The addresses that a node may hand out: prefixes less what is reserved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from slash80.addressing.family import Address, Family, Network


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses from `first` to `last`, both included; what `ipv4.exclude` and `ipv6.exclude` list."""

    first: Address
    last: Address

    def __contains__(self, address: Address) -> bool:
        """Whether an address of the same family lies inside."""
        return address.version == self.first.version and int(self.first) <= int(address) <= int(self.last)


@dataclass(frozen=True)
class Pool:
    """One family's prefixes in order of preference, the excluded ranges, and whether IPv4 keeps its edges."""

    family: Family
    prefixes: tuple[Network, ...]
    exclude: tuple[Range, ...] = ()
    reserve_edges: bool = True

    def prefix_of(self, address: Address) -> Network | None:
        """Give the prefix that holds the address."""
        return next((prefix for prefix in self.prefixes if address in prefix), None)

    def why_not(self, address: Address) -> str:
        """Say why an address is never handed out; empty when it may be."""
        prefix = self.prefix_of(address)
        if prefix is None:
            return f"it is outside {self}"
        if self._edge(prefix, int(address)):
            return f"it is the {self._edge(prefix, int(address))} address of {prefix}"
        excluded = next((r for r in self.exclude if address in r), None)
        return f"it is excluded by {self.family.key}.exclude" if excluded else ""

    def _edge(self, prefix: Network, number: int) -> str:
        if self.family.version == 6:
            # all zeros is every router's anycast address (RFC 4291, 2.6.1): reserved whatever is configured
            return "subnet-router anycast" if number == int(prefix.network_address) else ""
        edges = {int(prefix.network_address): "network", int(prefix.broadcast_address): "broadcast"}
        return edges.get(number, "") if self.reserve_edges else ""

    @cached_property
    def ranges(self) -> tuple[Range, ...]:
        """What may be handed out, as ranges that do not overlap, in order of preference."""
        return tuple(r for prefix in self.prefixes for r in self._ranges_of(prefix))

    def _ranges_of(self, prefix: Network) -> list[Range]:
        first, last = int(prefix.network_address), int(prefix.broadcast_address)
        if self.family.version == 6 or self.reserve_edges:
            first += 1
        if self.family.version == 4 and self.reserve_edges:
            last -= 1
        return [Range(self.family.address(a), self.family.address(b)) for a, b in self._holes(first, last)]

    def _holes(self, first: int, last: int) -> list[tuple[int, int]]:
        found = []
        for low, high in sorted((int(r.first), int(r.last)) for r in self.exclude):
            if high < first or low > last:
                continue
            if low > first:
                found.append((first, low - 1))
            first = max(first, high + 1)
        return [*found, (first, last)] if first <= last else found

    @property
    def total(self) -> int:
        """How many addresses may be handed out."""
        return sum(int(r.last) - int(r.first) + 1 for r in self.ranges)

    def __str__(self) -> str:
        """Name the prefixes."""
        return ", ".join(map(str, self.prefixes))
