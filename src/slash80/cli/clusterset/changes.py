"""What one file of a clusterset says that another does not: pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from slash80.settings.clusterset import Clusterset, Member

ADDED, REMOVED = "added", "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """A value that is in one of the files only; `member` is empty where it is the clusterset's own."""

    member: str
    key: str
    change: str
    value: str


def changes(before: Clusterset | None, after: Clusterset) -> list[Change]:
    """Return what changes, by member: first those that stay or are new."""
    return [*_between(before, after)]


def _between(before: Clusterset | None, after: Clusterset) -> Iterator[Change]:
    name = (before.name,) if before else ()
    yield from _compared("", "name", was=name, now=(after.name,))
    old = {one.id: one for one in before.members} if before else {}
    new = {one.id: one for one in after.members}
    for member in new | old:
        for key, values in _KEYS.items():
            was, now = (values(found[member]) if member in found else () for found in (old, new))
            yield from _compared(member, key, was=was, now=now)


def _compared(member: str, key: str, *, was: Iterable[str], now: Iterable[str]) -> Iterator[Change]:
    was, now = dict.fromkeys(was), dict.fromkeys(now)
    yield from (Change(member, key, ADDED, value) for value in now if value not in was)
    yield from (Change(member, key, REMOVED, value) for value in was if value not in now)


def fingerprint(der: bytes) -> str:
    """Return what people compare certificates by."""
    return f"sha256:{hashlib.sha256(der).hexdigest()[:16]}"


_KEYS: dict[str, Callable[[Member], Iterable[str]]] = {
    "prefixes": lambda one: map(str, one.prefixes),
    "certificates": lambda one: map(fingerprint, one.certificates),
    "at": lambda one: map(str, one.at),
    "since": lambda one: (one.since.isoformat(),),
    "namespaces": lambda one: one.namespaces,
}
