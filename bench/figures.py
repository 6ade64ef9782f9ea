"""Figures and tables: pure functions over nanoseconds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """What calls of one kind took: nanoseconds and microseconds of CPU each, and nanoseconds from first to last."""

    took: tuple[int, ...]
    cpu: tuple[int, ...]
    span: int

    @classmethod
    def parse(cls, lines: Sequence[str]) -> "Sample":
        """Read what `caller` and `floor` print: a line of two numbers for each call, then one number."""
        *calls, span = lines
        pairs = [tuple(map(int, line.split())) for line in calls]
        return cls(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs), int(span))

    def milliseconds(self, share: float) -> float:
        """Return the time under which this share of the calls stayed."""
        return percentile(self.took, share) / 1e6

    @property
    def rate(self) -> float:
        """Calls a second, from the first one's start to the last one's end."""
        return len(self.took) / (self.span / 1e9)

    @property
    def cpu_milliseconds(self) -> float:
        """CPU time of a call, user and system, on the average."""
        return sum(self.cpu) / len(self.cpu) / 1e3


def percentile(values: Iterable[int], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield a Markdown table, with the first column to the left and the others to the right."""
    cells = [list(head), *([shown(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for row in (cells[0], rule, *cells[1:]):
        first, *others = row
        padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        yield f"| {' | '.join(padded)} |"


def shown(value: object) -> str:
    """Show a figure with no more digits than it deserves."""
    if not isinstance(value, float):
        return str(value)
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
