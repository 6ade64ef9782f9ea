"""The ledger of addresses inside one SQLite transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Generator, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_network

from slash80.addressing.attachment import hashed
from slash80.addressing.choose import Counts, Use
from slash80.addressing.family import Address, Family, Prefix, family_of
from slash80.addressing.pool import Pool, Range, free_parts

_ROWS = 65536  # of known addresses that one search walks over, 1 us each, while every call of the node waits
# A network without pods and without calls for so long was renamed or removed, which the plugin is not told.
_REMEMBERED = 3600.0  # seconds
_REFRESHED = 600.0  # seconds after which a note is written again, and not at each ADD
_NOTE = "prefixes of "  # and the network's name: a setting


class SqliteLedger:
    """Reads addresses as packed bytes, whose order is the addresses' own."""

    def __init__(self, connection: sqlite3.Connection, reached: dict[Range, int | None]) -> None:
        """Read within the transaction that is open on the connection.

        `reached` remembers from one ledger to the next where the search for unused addresses has come to; None where
        it had not got that far.
        """
        self._connection, self._reached = connection, reached

    def use(self, address: Address) -> Use | None:
        """Return whether an address is held or was released; None if it is not known."""
        query = "SELECT holder, released FROM address WHERE family = ? AND packed = ?"
        row = self._connection.execute(query, [address.version, address.packed]).fetchone()
        return row and Use(*row)

    def unused(self, within: Range, without: Sequence[Range] = ()) -> Iterator[Address]:
        """Return the addresses that are not known at all: the gaps between the known ones, in order.

        The search begins where the one before ended, and comes back to the start at the end: with a thousand pods it
        would otherwise walk over all of them at each ADD. One that walks too far is cut short, and the next goes on.
        """
        first, last = int(within.first), int(within.last)
        start = self._reached.get(within) or first
        self._reached[within] = None  # until one is found
        taken = sorted((int(r.first), int(r.last)) for r in without if r.first.version == within.first.version)
        for low, high in ((start, last), (first, start - 1)):
            cut = yield from self._search(within, low, high, taken=taken)
            if cut is not None:
                self._reached[within] = cut
                return

    def _search(
        self, within: Range, low: int, high: int, *, taken: Sequence[tuple[int, int]]
    ) -> Generator[Address, None, int | None]:
        """Return the unknown addresses between two numbers; return where it was cut short, or None."""
        family = family_of(within.first)
        for gap_low, gap_high in self._gaps(family, low, high):
            if gap_low > gap_high:
                return gap_low
            for part_low, part_high in free_parts(gap_low, gap_high, taken):
                for number in range(part_low, part_high + 1):
                    self._reached[within] = number
                    yield family.address(number)
        return None

    def spent(self, within: Range) -> bool:
        """Report whether the last search in there came to its end and found none."""
        return self._reached.get(within, 0) is None

    def _gaps(self, family: Family, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Return the first and the last of each gap; an empty one where the search is cut short."""
        if low > high:
            return
        query = "SELECT packed FROM address WHERE family = ? AND packed BETWEEN ? AND ? ORDER BY packed LIMIT ?"
        bounds = [number.to_bytes(family.bits // 8, "big") for number in (low, high)]
        candidate, rows = low, 0
        for (packed,) in self._connection.execute(query, [family.version, *bounds, _ROWS]):
            known = int.from_bytes(packed, "big")
            if candidate < known:
                yield candidate, known - 1
            candidate, rows = known + 1, rows + 1
        if candidate <= high:
            yield candidate, high if rows < _ROWS else candidate - 1

    def released(self, pool: Pool) -> Iterator[tuple[Address, float]]:
        """Return the released addresses of a pool with their boottime of release, longest ago first.

        With the plus SQLite goes through the index of released addresses, whose order this is, and not through all
        addresses of the prefix.
        """
        inside = " OR ".join(["+packed BETWEEN ? AND ?"] * len(pool.prefixes))
        query = (
            "SELECT packed, released FROM address WHERE family = ? AND holder IS NULL "  # noqa: S608 -- constants
            f"AND ({inside}) ORDER BY released, packed"
        )
        bounds = [bound for prefix in pool.prefixes for bound in (prefix[0].packed, prefix[-1].packed)]
        for packed, released in self._connection.execute(query, [pool.family.version, *bounds]):
            yield pool.family.address(int.from_bytes(packed, "big")), released

    def note(self, network: str, prefixes: Sequence[Prefix], now: float) -> bool:
        """Remember which prefixes a network has; return whether it had others before, or had no prefixes yet."""
        listed = _listed(tuple(prefixes))
        row = self._connection.execute("SELECT value FROM setting WHERE name = ?", [_NOTE + network]).fetchone()
        before, since = _read_note(row[0]) if row else (None, 0.0)
        if before != listed or now - since > _REFRESHED:
            self._write_note(network, listed, now)
        return before != listed

    def refresh(self, networks: Collection[str], now: float) -> None:
        """Remember these networks, named as attachments name them, for longer."""
        for name, (listed, _) in self._notes().items():
            if name in networks or hashed(name) in networks:
                self._write_note(name, listed, now)

    def networks(self, now: float) -> dict[str, tuple[Prefix, ...]]:
        """Return the prefixes of the networks that were noted lately."""
        lately = {name: found for name, found in self._notes().items() if now - found[1] <= _REMEMBERED}
        return {name: tuple(map(ip_network, listed)) for name, (listed, _) in lately.items()}

    def holds(self, prefix: Prefix) -> bool:
        """Report whether an address of a prefix is held."""
        query = "SELECT 1 FROM address WHERE family = ? AND packed BETWEEN ? AND ? AND holder IS NOT NULL LIMIT 1"
        bounds = [prefix.version, prefix.network_address.packed, prefix.broadcast_address.packed]
        return self._connection.execute(query, bounds).fetchone() is not None

    def early_reuses(self) -> int:
        """Return how often an address was handed out before its preferred rest was over."""
        row = self._connection.execute("SELECT value FROM setting WHERE name = 'early_reuse'").fetchone()
        return row[0] if row else 0

    def _notes(self) -> dict[str, tuple[list[str], float]]:
        query = "SELECT substr(name, ?), value FROM setting WHERE name BETWEEN ? AND ?"
        rows = self._connection.execute(query, [len(_NOTE) + 1, _NOTE, _NOTE + "\U0010ffff"])
        return {name: _read_note(value) for name, value in rows}

    def _write_note(self, network: str, listed: list[str], now: float) -> None:
        value = json.dumps({"prefixes": listed, "since": now})
        self._connection.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", [_NOTE + network, value])

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


@lru_cache(maxsize=16)
def _listed(prefixes: tuple[Prefix, ...]) -> list[str]:
    """Write prefixes, the same for each ADD of a network."""
    return sorted(map(str, prefixes))


@lru_cache(maxsize=16)
def _read_note(text: str) -> tuple[list[str], float]:
    """Read what `_write_note` has written; the same for many ADDs of a network."""
    note = json.loads(text)
    return note["prefixes"], note["since"]
