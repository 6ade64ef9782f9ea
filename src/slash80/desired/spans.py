"""Prefixes as spans of numbers, both families on one line: two integers are compared in a tenth of an ipaddress' time.

Prefixes overlap only where one holds the other, so those that overlap form groups: one prefix and all within it. A
group is a tuple of its members, and changes by being replaced.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_network
from itertools import chain
from typing import Generic, Protocol, TypeVar

from slash80.addressing.family import Address, Prefix

_IPV6 = 1 << 128  # IPv6 lies after all of IPv4


class Spanned(Protocol):
    """Something with a first and a last number."""

    first: int
    last: int


S = TypeVar("S", bound=Spanned)


def number(address: Address) -> int:
    """Return the place of an address on the line."""
    return int(address) + _IPV6 if isinstance(address, IPv6Address) else int(address)


def span(prefix: Prefix) -> tuple[int, int]:
    """Return the first and the last place of a prefix."""
    first = int(prefix.network_address)
    if isinstance(prefix, IPv6Network):
        first += _IPV6
        return first, first + (1 << (128 - prefix.prefixlen)) - 1
    return first, first + (1 << (32 - prefix.prefixlen)) - 1


class Union:
    """All numbers of some prefixes: what adjacent ones hold together counts as held."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        """Join what overlaps or is adjacent."""
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(map(span, prefixes)):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(last, self._lasts[-1])
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def holds(self, first: int, last: int) -> bool:
        """Report whether all of a span is in it."""
        place = bisect_right(self._firsts, first) - 1
        return place >= 0 and self._lasts[place] >= last

    def meets(self, first: int, last: int) -> bool:
        """Report whether a part of a span is in it."""
        place = bisect_right(self._firsts, last) - 1
        return place >= 0 and self._lasts[place] >= first


# No pod and no node has an address there: it is multicast, loopback, link-local, unspecified or for broadcasts.
NOBODYS: tuple[Prefix, ...] = (
    *map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32")),
    *map(ip_network, ("::/64", "fe80::/10", "ff00::/8")),
)


Group = tuple[S, ...]


class Groups(Generic[S]):
    """The groups in the order of the line. A change costs what its group has, and two searches."""

    def __init__(self) -> None:
        """Begin empty."""
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._groups: list[Group[S]] = []

    def begin(self, members: Iterable[S]) -> tuple[list[Group[S]], list[S]]:
        """Add those of the first members that are alone; return their groups, and the other members."""
        contested: list[S] = []
        run: list[S] = []
        reached = -1
        ordered: list[S] = sorted(members, key=_first)
        for member in (*ordered, None):
            if member is not None and member.first <= reached:
                run.append(member)
                reached = max(reached, member.last)
                continue
            if len(run) == 1:
                self._firsts.append(run[0].first)
                self._lasts.append(reached)
                self._groups.append((run[0],))
            else:
                contested += run
            if member is not None:
                run, reached = [member], member.last
        return [*self._groups], contested

    def add(self, member: S) -> tuple[Group[S], Sequence[Group[S]]]:
        """Add a member; return the group that has it now, and those that are no more."""
        low, high = self._places(member.first, member.last)
        met = self._groups[low:high]
        group = (*chain(*met), member)
        first = min(member.first, self._firsts[low]) if met else member.first
        last = max(member.last, self._lasts[high - 1]) if met else member.last
        self._firsts[low:high], self._lasts[low:high], self._groups[low:high] = [first], [last], [group]
        return group, met

    def remove(self, members: Iterable[S]) -> tuple[list[Group[S]], list[Group[S]]]:
        """Remove members; return the groups of those that were in one with them, and the groups that are no more."""
        removed = set(map(id, members))
        gone: list[Group[S]] = []
        for member in members:
            low, high = self._places(member.first, member.last)
            gone += self._groups[low:high]
            del self._firsts[low:high], self._lasts[low:high], self._groups[low:high]
        left: dict[Group[S], None] = {}
        for other in chain(*gone):
            if id(other) not in removed:
                group, joined = self.add(other)
                left[group] = None
                for one in joined:
                    left.pop(one, None)
        return [*left], gone

    def meeting(self, first: int, last: int) -> Iterator[S]:
        """Yield the members that have a part of a span."""
        low, high = self._places(first, last)
        for group in self._groups[low:high]:
            for member in group:
                if member.first <= last and first <= member.last:
                    yield member

    def holding(self, place: int) -> Group[S] | None:
        """Return the group that has a number."""
        low, high = self._places(place, place)
        return self._groups[low] if low < high else None

    def _places(self, first: int, last: int) -> tuple[int, int]:
        """Return where the groups begin and end that have a part of a span."""
        return bisect_left(self._lasts, first), bisect_right(self._firsts, last)


def _first(member: Spanned) -> int:
    return member.first
