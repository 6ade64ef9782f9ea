"""The ledger of addresses inside one SQLite transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from slash80.addressing.choose import Counts, Use
from slash80.addressing.family import Address, Family, family_of
from slash80.addressing.pool import Pool, Range


class SqliteLedger:
    """Reads addresses as packed bytes, whose order is the addresses' own."""

    def __init__(self, connection: sqlite3.Connection, reached: dict[Range, int | None]) -> None:
        """Read within the transaction that is open on the connection.

        `reached` remembers from one ledger to the next where the search for unused addresses has come to; None where
        there were none.
        """
        self._connection, self._reached = connection, reached

    def use(self, address: Address) -> Use | None:
        """Tell whether an address is held or was released; None if it is not known."""
        query = "SELECT holder, released FROM address WHERE family = ? AND packed = ?"
        row = self._connection.execute(query, [address.version, address.packed]).fetchone()
        return row and Use(*row)

    def unused(self, within: Range) -> Iterator[Address]:
        """Give the addresses that are not known at all: the gaps between the known ones, in order.

        The search begins where the one before ended, and comes back to the start at the end: with a thousand pods it
        would otherwise walk over all of them at each ADD.
        """
        first, last = int(within.first), int(within.last)
        start = self._reached.get(within) or first
        family, found = family_of(within.first), False
        for low, high in ((start, last), (first, start - 1)):
            for number in self._gaps(family, low, high):
                self._reached[within], found = number, True
                yield family.address(number)
        if not found:
            self._reached[within] = None

    def spent(self, within: Range) -> bool:
        """Whether the last search in there came to its end and found none."""
        return self._reached.get(within, 0) is None

    def _gaps(self, family: Family, low: int, high: int) -> Iterator[int]:
        if low > high:
            return
        query = "SELECT packed FROM address WHERE family = ? AND packed BETWEEN ? AND ? ORDER BY packed"
        bounds = [number.to_bytes(family.bits // 8, "big") for number in (low, high)]
        candidate = low
        for (packed,) in self._connection.execute(query, [family.version, *bounds]):
            known = int.from_bytes(packed, "big")
            yield from range(candidate, known)
            candidate = known + 1
        yield from range(candidate, high + 1)

    def released(self, family: Family) -> Iterator[tuple[Address, float]]:
        """Give the released addresses with their boottime of release, longest ago first."""
        query = "SELECT packed, released FROM address WHERE family = ? AND holder IS NULL ORDER BY released, packed"
        for packed, released in self._connection.execute(query, [family.version]):
            yield family.address(int.from_bytes(packed, "big")), released

    def counts(self, pool: Pool, since: float) -> Counts:
        """Count what is allocated, and what was released after the boottime `since`."""
        query = (
            "SELECT count(holder), count(*) FILTER (WHERE holder IS NULL AND released > ?) FROM address "
            "WHERE family = ? AND packed BETWEEN ? AND ?"
        )
        allocated = cooling = 0
        for part in pool.ranges:
            bounds = [since, pool.family.version, part.first.packed, part.last.packed]
            held, resting = self._connection.execute(query, bounds).fetchone()
            allocated, cooling = allocated + held, cooling + resting
        return Counts(allocated, cooling)
