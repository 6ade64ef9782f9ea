"""What is known of one other member's exports, and what an answer of its makes of it: no I/O.

A record is judged when it is received, and what is of no use here is dropped at once: so of a hundred members with a
thousand exports each only those in namespaces that this cluster has too take memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from slash80.cluster.objects.reading import Unreadable
from slash80.clusterset.records import Export, Name
from slash80.clusterset.refuse import Admission
from slash80.clusterset.wire import name_of
from slash80.errors import shown

_RECORDS = 20_000  # of an answer: a member has 1,000 exports, and remembers 10,000 that are gone
_EPOCH = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_REVISION = 10**15


class Malformed(ValueError):
    """An answer is not one: a sentence."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a member exports, as far as it is of use here, and by what it was judged.

    `since` is from where the next answer goes on.
    """

    admission: Admission
    exports: Mapping[Name, Export]
    since: str

    @property
    def elsewhere(self) -> frozenset[str]:
        """Namespaces that are not here, of which records were dropped."""
        return self.admission.elsewhere


class Reading:
    """An answer that is being received; it counts when all of it was.

    What it is judged by has counted its records by then, so after an answer that was cut off the next has to be full.
    """

    def __init__(self, before: Known | None, head: Mapping[str, Any], *, admission: Callable[[], Admission]) -> None:
        """Begin with the first line, after what was known; `admission` makes what a full answer is judged by.

        Raise Malformed.
        """
        epoch, revision, full = (head.get(key) for key in ("epoch", "revision", "full"))
        if not isinstance(epoch, str) or not _EPOCH.fullmatch(epoch) or not isinstance(full, bool):
            raise Malformed(f"an answer begins with {shown(head)}")
        if not isinstance(revision, int) or not 0 <= revision < _MOST_REVISION:
            raise Malformed(f"an answer has the revision {shown(revision)}")
        if full:
            before = Known(admission(), {}, "")
        elif before is None or before.since.rpartition(":")[0] != epoch:
            raise Malformed("an answer has changes of what is not known")
        self._exports, self._admission = dict(before.exports), before.admission
        self._since, self._count, self._ended = f"{epoch}:{revision}", 0, False

    def take(self, lines: Iterable[Mapping[str, Any]]) -> Known:
        """Take the lines after the first and return what is known then; raise Malformed."""
        for line in lines:
            if self._ended:
                raise Malformed("an answer goes on after its end")
            self._take(line)
        if not self._ended:
            raise Malformed("an answer was cut off")
        return Known(self._admission, self._exports, self._since)

    def _take(self, line: Mapping[str, Any]) -> None:
        if "end" in line:
            if line["end"] != self._count:
                raise Malformed(f"an answer of {self._count} records says that it has {shown(line['end'])}")
            self._ended = True
        elif self._count >= _RECORDS:
            raise Malformed(f"an answer has more than {_RECORDS} records")
        elif "gone" in line:
            self._forget(_name(line["gone"]))
        elif "export" in line:
            self._admit(line["export"])
        else:
            raise Malformed(f"an answer has the line {shown(line)}")
        self._count += 1

    def _admit(self, record: object) -> None:
        export = self._admission.admit(record)
        try:
            name = name_of(record)
        except Unreadable:
            return  # it is counted as refused
        self._exports.pop(name, None)
        if export:
            self._exports[name] = export

    def _forget(self, name: Name) -> None:
        self._admission.gone(name)
        self._exports.pop(name, None)


def _name(value: object) -> Name:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value):
        return Name(*value)
    raise Malformed(f"an answer says that {shown(value)} is gone")
