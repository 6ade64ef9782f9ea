"""A change of CoreDNS's configuration so that it answers for `clusterset.local`: pure, by insertions alone.

The format is Caddy's (https://coredns.io/manual/toc/#configuration): words on lines, blocks in braces. Only what is
written as usual is changed: of everything else it cannot be told here what a change would mean, so it is refused, and
people make the change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from slash80.errors import Failure, shown

ZONE = "clusterset.local"
BY_HAND = (
    f"add {ZONE} to the zones of the plugin kubernetes and the line 'multicluster {ZONE}' to its block by hand in the "
    "ConfigMap kube-system/coredns"
)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s"#][^\s#]*|#.*|\S')
_KEY = re.compile(r"(?:dns://)?(?P<zone>[^:/]*)(?::[0-9]+)?")
_PLUGIN, _OPTION = "kubernetes", "multicluster"


@dataclass(frozen=True, slots=True)
class _Word:
    """A word, and where in the text it ends."""

    text: str
    end: int


@dataclass(slots=True)
class _Line:
    """The words of a line without its comment, its indentation, and where the next line begins."""

    number: int
    words: list[_Word]
    indent: str
    after: int

    @property
    def first(self) -> str:
        return self.words[0].text

    @property
    def opens(self) -> bool:
        return self.words[-1].text == "{"

    @property
    def arguments(self) -> list[_Word]:
        return self.words[1:-1] if self.opens else self.words[1:]


@dataclass(slots=True)
class _Block:
    """A line with the lines of its block, and what stands in theirs."""

    line: _Line
    inner: list[_Block] = field(default_factory=list)


def with_zone(text: str) -> str:
    """Return the text in which CoreDNS answers for the zone; the same text where it does. Raise Failure."""
    servers = _blocks(text)
    plugin = _plugin(servers)
    after = text
    # from the end on; of two at one place the block's brace is put in first, so that it stands behind the zone
    for place, more in reversed([*_insertions(plugin)]):
        after = after[:place] + more + after[place:]
    return after


def reloads(text: str) -> bool:
    """Report whether CoreDNS reads a changed configuration by itself; raise Failure."""
    return any(inner.line.first == "reload" for server in _serving(_blocks(text)) for inner in server.inner)


def _insertions(plugin: _Block) -> Iterator[tuple[int, str]]:
    line, zones = plugin.line, plugin.line.arguments
    if not zones:
        raise _unusual(line.number, "names no zones for the plugin kubernetes")
    if not _has_zone(zones):
        yield zones[0].end, f" {ZONE}"
    options = [one.line for one in plugin.inner if one.line.first == _OPTION]
    if any(_has_zone(one.arguments) for one in options):
        return
    if options:
        yield options[0].words[-1].end, f" {ZONE}"
    elif line.opens:
        indent = plugin.inner[0].line.indent if plugin.inner else f"{line.indent}    "
        yield line.after, f"{indent}{_OPTION} {ZONE}\n"
    else:
        yield zones[-1].end, f" {{\n{line.indent}    {_OPTION} {ZONE}\n{line.indent}}}"


def _has_zone(words: Iterable[_Word]) -> bool:
    return any(one.text.lower().removesuffix(".") == ZONE for one in words)


def _plugin(servers: Sequence[_Block]) -> _Block:
    """Return the block of the plugin that has to answer."""
    found = [inner for server in _serving(servers) for inner in server.inner if inner.line.first == _PLUGIN]
    if len(found) != 1:
        many = f"has the plugin kubernetes {len(found)} times" if found else "does not have the plugin kubernetes"
        raise Failure(f"the server block of CoreDNS's Corefile that is asked for {ZONE} {many}; {BY_HAND}")
    if any(one.inner for one in found[0].inner):
        raise _unusual(found[0].line.number, "has a block within that of the plugin kubernetes")
    return found[0]


def _serving(servers: Sequence[_Block]) -> list[_Block]:
    """Return the server blocks that are asked for names of the zone: those of the longest zone that it ends in."""
    longest, found = -1, list[_Block]()
    for server in servers:
        zones = [_zone(key.text) for key in server.line.words[:-1]]
        depth = max((_depth(zone) for zone in zones if zone is not None), default=-1)
        if depth > longest:
            longest, found = depth, []
        if depth == longest and depth >= 0:
            found.append(server)
    return found


def _zone(key: str) -> str | None:
    """Return the zone of a server block's key; None for one that is not of plain DNS, or a snippet's name."""
    matched = _KEY.fullmatch(key.removesuffix(",").lower())
    return matched["zone"].strip(".") if matched and not key.startswith("(") else None


def _depth(zone: str) -> int:
    """Return how many labels of ours a zone has; -1 where ours is not in it."""
    if zone and zone != ZONE and not ZONE.endswith(f".{zone}"):
        return -1
    return len(zone.split(".")) if zone else 0


def _blocks(text: str) -> list[_Block]:
    """Read the server blocks; raise Failure where something is written in another way than usual."""
    outer: list[_Block] = [_Block(_Line(0, [], "", 0))]
    for line in _lines(text):
        if line.first == "}" and len(line.words) == 1:
            if len(outer) == 1:
                raise _unusual(line.number, "closes a block that is not open")
            outer.pop()
            continue
        if any(word.text in {"{", "}"} for word in line.words[: -1 if line.opens else None]):
            raise _unusual(line.number, "has a brace in the middle")
        if len(outer) == 1 and line.first != "import" and (not line.opens or len(line.words) == 1):
            raise _unusual(line.number, "is not the beginning of a server block")
        block = _Block(line)
        outer[-1].inner.append(block)
        if line.opens:
            outer.append(block)
    if len(outer) > 1:
        raise _unusual(outer[-1].line.number, "opens a block that is not closed")
    return outer[0].inner


def _lines(text: str) -> Iterator[_Line]:
    """Yield the lines that have words."""
    start = 0
    for number in count(1):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end]
        words = [*_words(line, start, number)]
        if words:
            yield _Line(number, words, line[: len(line) - len(line.lstrip(" \t"))], min(end + 1, len(text)))
        if end == len(text):
            return
        start = end + 1


def _words(line: str, start: int, number: int) -> Iterator[_Word]:
    """Yield the words of a line. Where Caddy's reader would see others than a person does, the line is unusual."""
    ended = 0
    for found in _WORD.finditer(line.removesuffix("\r")):
        word, gap, ended = found[0], line[ended : found.start()], found.end()
        if gap.strip(" \t"):
            raise _unusual(number, f"has {shown(gap)} between words")
        if word.startswith("#"):
            if found.start() and not gap:
                raise _unusual(number, "has a # within a word")
            return
        if word == '"' or not word.isascii() or not word.isprintable():
            raise _unusual(number, f"has {shown(word)}")
        if word.startswith('"') and line[found.end() : found.end() + 1].strip():
            raise _unusual(number, "has no space behind a quoted word")
        yield _Word(word, start + found.end())


def _unusual(number: int, what: str) -> Failure:
    return Failure(f"line {number} of CoreDNS's Corefile {what}, which is unusual; {BY_HAND}")
