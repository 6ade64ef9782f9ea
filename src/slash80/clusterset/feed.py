"""What this cluster exports, as the other members get it: the whole once, then what has changed since.

A revision counts changes, and an epoch names the process that counts: revisions of another process mean nothing. Of an
unknown epoch, or from before what is remembered of removed exports, a member gets everything.

An answer is text, a JSON value a line: `{"epoch", "revision", "full"}`, then for each export `{"export": ...}` as
`wire` writes it or `{"gone": [namespace, name]}`, and last `{"end": lines between}`. So its reader never has all of it
in memory, and recognises one that was cut off.
"""

from __future__ import annotations

import json
import logging
import threading
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from slash80.cluster.clock import Clock, SystemClock
from slash80.clusterset.records import Export, Name

TOGETHER = 0.5  # seconds within which changes go into one answer
WAIT = 20.0  # seconds that an answer may wait for a change
LINE = 4 << 20  # bytes of a line, which is one export: 20,000 endpoints are 2 MB
_GONE = 10_000  # removed exports that are remembered
_KEPT = 64  # compressed answers of the present revision: members that keep up ask for the same one
_GZIP = 31  # zlib's word for a gzip wrapper around the largest window
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request gets: gzip, ready to be sent, and from where the next request goes on."""

    body: bytes
    since: str
    full: bool


class Feed:
    """The exports of this cluster and their changes, for one thread that publishes and any number that ask."""

    def __init__(
        self,
        epoch: str,
        clock: Clock[threading.Condition] | None = None,
        *,
        encode: Callable[[Export], object],
        gone: int = _GONE,
    ) -> None:
        """Begin with nothing known, which is not the same as to export nothing."""
        self._epoch, self._encode, self._clock = epoch, encode, clock or SystemClock()
        self._most_gone = gone
        self._exports, self._published = dict[Name, Export](), False
        self._lines: dict[Name, bytes] = {}
        # of exports that are there, and of those that are gone: the revision of the last change, in that order
        self._changed: dict[Name, int] = {}
        self._gone: dict[Name, int] = {}
        self._revision, self._oldest = 0, 0
        self._due = float("-inf")
        self._answers: dict[int, Answer] = {}
        self._bell = threading.Condition()

    def publish(self, exports: Mapping[Name, Export]) -> None:
        """Take these exports in the place of those before, and hand out what differs."""
        with self._bell:
            before = self._exports
            # what members do not get, such as the node of an endpoint, may differ without a change of the line
            lines = {name: self._text(export) for name, export in exports.items() if before.get(name) != export}
            changed = {name: line for name, line in lines.items() if self._lines.get(name) != line}
            gone = [name for name in before if name not in exports]
            first, self._exports, self._published = not self._published, dict(exports), True
            if changed or gone:
                self._note(changed, gone)
            if first or changed or gone:
                self._bell.notify_all()

    def withdraw(self) -> None:
        """Be without anything published, as at the beginning: who asks is not answered until something is."""
        with self._bell:
            self._published = False
            self._bell.notify_all()

    def answer(self, since: str, wait: float, given_up: Callable[[], bool] = lambda: False) -> Answer | None:
        """Return what is newer than `since`, at once if anything is, else after `wait` s; None if nothing is known.

        Changes of half a second go together, so what is newest may wait as long as that. `given_up` tells of a
        connection that was broken off meanwhile; what breaks one off calls `ring`.
        """
        with self._bell:
            known = self._known(since)
            moment = self._clock.now() + min(wait, WAIT)
            while self._published and known is not None and not given_up():
                if known < self._revision:
                    moment = min(moment, self._due)  # later changes put `_due` off, but not what waits already
                if (rest := moment - self._clock.now()) <= 0:
                    break
                self._clock.wait(self._bell, rest)
            return self._made(known) if self._published else None

    def ring(self) -> None:
        """Have every waiting answer see whether it is still wanted."""
        with self._bell:
            self._bell.notify_all()

    def _text(self, export: Export) -> bytes:
        line = _line({"export": self._encode(export)})
        if len(line) > LINE:
            _log.warning("%s has too many endpoints: as text it would be %d bytes of %d", export.name, len(line), LINE)
            line = _line({"gone": list(export.name)})  # else a member would refuse all of the answer
        return line

    def _note(self, changed: Mapping[Name, bytes], gone: Collection[Name]) -> None:
        self._revision += 1
        self._answers.clear()
        self._lines |= changed
        for name in changed:
            self._changed.pop(name, None)
            self._gone.pop(name, None)
            self._changed[name] = self._revision
        for name in gone:
            del self._changed[name], self._lines[name]
            self._gone[name] = self._revision
        while len(self._gone) > self._most_gone:
            name = next(iter(self._gone))
            self._oldest = self._gone.pop(name)
        now = self._clock.now()
        if self._due <= now:
            self._due = max(now, self._due + TOGETHER)

    def _known(self, since: str) -> int | None:
        """Return the revision that a member has, if it can be gone on from."""
        epoch, _, revision = since.rpartition(":")
        if epoch != self._epoch or not revision.isascii() or not revision.isdigit() or len(revision) > 18:
            return None
        known = int(revision)
        return known if self._oldest <= known <= self._revision else None

    def _made(self, known: int | None) -> Answer:
        key = -1 if known is None else known
        if key not in self._answers:
            if len(self._answers) >= _KEPT:
                del self._answers[next(iter(self._answers))]
            self._answers[key] = self._compressed(known)
        return self._answers[key]

    def _compressed(self, known: int | None) -> Answer:
        lines = [*self._lines.values()] if known is None else [*self._newer(known)]
        head = {"epoch": self._epoch, "revision": self._revision, "full": known is None}
        packer = zlib.compressobj(wbits=_GZIP)
        parts = [packer.compress(line) for line in (_line(head), *lines, _line({"end": len(lines)}))]
        return Answer(b"".join([*parts, packer.flush()]), f"{self._epoch}:{self._revision}", full=known is None)

    def _newer(self, known: int) -> Iterator[bytes]:
        for name, revision in reversed(self._changed.items()):
            if revision <= known:
                break
            yield self._lines[name]
        for name, revision in reversed(self._gone.items()):
            if revision <= known:
                break
            yield _line({"gone": list(name)})


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
