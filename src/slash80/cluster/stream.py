"""The events of a watch, out of the bytes that carry them.

No HTTP and no thread: bytes in, events out. A line that is not an event costs itself only; the next one begins after
the next newline. Source: https://kubernetes.io/docs/reference/using-api/api-concepts/.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from slash80.cluster.objects.reading import Document
from slash80.errors import shown

LONGEST = 16 << 20  # bytes: etcd keeps no object of more than 1.5 MiB, which JSON makes a few times as long


@dataclass(frozen=True, slots=True)
class Event:
    """ADDED, MODIFIED, DELETED or BOOKMARK with an object, or ERROR with a Status."""

    kind: str
    object: Document


@dataclass(frozen=True, slots=True)
class Garbled:
    """A line that is not an event. Which object has changed is not known."""

    reason: str


def events(chunks: Iterable[bytes], *, longest: int = LONGEST) -> Iterator[Event | Garbled]:
    """Yield what each line says. What follows the last newline is the beginning of a line that never came."""
    for line in _lines(chunks, longest):
        if isinstance(line, Garbled):
            yield line
        elif line.strip():
            yield _event(line)


def _lines(chunks: Iterable[bytes], longest: int) -> Iterator[bytes | Garbled]:
    too_long = Garbled(f"an event is longer than {longest} bytes")
    pending, skipping = bytearray(), False
    for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            pending += piece
            if not skipping:
                yield bytes(pending) if len(pending) <= longest else too_long
            pending.clear()
            skipping = False
        pending += rest
        if len(pending) > longest and not skipping:
            yield too_long
            skipping = True
        if skipping:
            pending.clear()


def _event(line: bytes) -> Event | Garbled:
    try:
        document = json.loads(line)
        kind, changed = document["type"], document["object"]
    except (LookupError, RecursionError, TypeError, ValueError) as error:
        return Garbled(f"an event cannot be read: {type(error).__name__}: {shown(str(error))}")
    if not isinstance(kind, str) or not isinstance(changed, dict):
        return Garbled(f"an event of type {shown(kind)} has no object")
    return Event(kind, changed)
