"""The results in the page: a section for each command, of which a run replaces its own."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

_RESULTS = "## Results\n"  # what follows in the page is written by runs
_HEADING = "### "
_SPECIAL = {'"', "'", "$", "`"}  # within double quotes, or within the single ones around all


def command(options: Sequence[str]) -> str:
    """Return what people type for a run with these options: in quotes that can be read, where a shell takes them."""
    if not options:
        return "make conformance"
    return f"make conformance ARGS={shlex.quote(' '.join(map(_quoted, options)))}"


def with_section(page: str, title: str, lines: Iterable[str]) -> str:
    """Return the page with a section's lines in the place of those that it had, or after all others."""
    before, _, results = page.partition(_RESULTS)
    sections = dict(_sections(results)) | {f"`{title}`": "\n".join(lines)}
    return before + _RESULTS + "".join(f"\n{_HEADING}{name}\n\n{body}\n" for name, body in sections.items())


def _quoted(word: str) -> str:
    quoted = shlex.quote(word)
    return quoted if quoted == word or _SPECIAL & {*word} else f'"{word}"'


def _sections(results: str) -> list[tuple[str, str]]:
    found = [part.partition("\n") for part in f"\n{results}".split(f"\n{_HEADING}")[1:]]
    return [(name, body.strip("\n")) for name, _, body in found]
