"""The table of cells: each combination of what a packet can be, and whether it reaches a pod."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).parents[1] / "netns/cells.txt"
VERDICTS = ("arrives", "dropped", "impossible")


class Cell(NamedTuple):
    """One combination; the fields are the columns of the table, in its order."""

    mode: str
    services: str
    hostports: str
    source: str
    link: str
    protocol: str
    state: str
    way: str
    port: str


# Of each column.
VALUES: dict[str, tuple[str, ...]] = {
    "mode": ("closed", "open"),
    "services": ("open", "trusted"),
    "hostports": ("open", "trusted", "none"),
    "source": ("node", "own", "sibling", "trusted", "misrouted", "stranger", "forged"),
    "link": ("local", "pod", "uplink", "side"),
    "protocol": ("tcp", "udp", "icmp", "sctp", "other"),
    "state": ("new", "reply", "midstream"),
    "way": ("direct", "nodeport", "clusterip", "hostport"),
    "port": ("exposed", "annotated", "other"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row: what each column says, the verdict, and why it is so."""

    columns: tuple[str, ...]
    verdict: str
    why: str

    def matches(self, cell: Cell) -> bool:
        """Report whether the row is about a cell."""
        return all(map(_matches, self.columns, cell))


def _matches(column: str, value: str) -> bool:
    if column.startswith("!"):
        return value != column[1:]
    return column == "*" or value in column.split(",")


def rows() -> list[Row]:
    """Read the table."""
    lines = [line for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    count = len(Cell._fields)
    split = (line.split(None, count + 1) for line in lines)
    return [Row(tuple(words[:count]), words[count], words[-1]) for words in split]


def every() -> Iterator[Cell]:
    """Return all combinations."""
    return (Cell(*values) for values in product(*VALUES.values()))


def row_of(cell: Cell, table: list[Row]) -> Row | None:
    """Return the first row that is about a cell."""
    return next((row for row in table if row.matches(cell)), None)


@cache
def possible() -> dict[Cell, str]:
    """Return the cells that exist, each with its verdict."""
    table = rows()
    found = {cell: row.verdict for cell in every() if (row := row_of(cell, table))}
    return {cell: verdict for cell, verdict in found.items() if verdict != "impossible"}
