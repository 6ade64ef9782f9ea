"""How commands show rows: with colours and lines on a terminal, plain for whatever reads it line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

_GREEN = ("ready", "yes", "active", "ok", "added")
_YELLOW, _RED = ("draining", "dying", "silent"), ("no", "gone", "never", "removed")
_COLOURS = {
    word: colour for colour, words in {"green": _GREEN, "yellow": _YELLOW, "red": _RED}.items() for word in words
}


def show(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    if sys.stdout.isatty():
        _show_in_colour(columns, rows)
    else:
        print("\n".join(_plain([columns, *rows])))


def show_diff(lines: Sequence[str]) -> None:
    """Print a difference of two texts, on a terminal in the colours that git has made usual."""
    if not sys.stdout.isatty():
        print("".join(f"{line}\n" for line in lines), end="")
        return
    from rich.console import Console  # noqa: PLC0415 -- 50 ms, and only for people
    from rich.text import Text  # noqa: PLC0415 -- the same

    for line in lines:
        Console().print(Text(line, style={"+": "green", "-": "red"}.get(line[:1], "")), soft_wrap=True)


def printable(text: str) -> str:
    """Escape what a terminal would obey: names and labels are other people's."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _show_in_colour(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 -- 50 ms, and only for people
    from rich.table import Table  # noqa: PLC0415 -- the same
    from rich.text import Text  # noqa: PLC0415 -- the same

    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, ""), overflow="fold") for cell in row))
    Console().print(table)


def _plain(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
