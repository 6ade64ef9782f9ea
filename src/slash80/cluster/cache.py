"""The objects of one kind as records, with indexes and what has changed: in memory, no HTTP, no thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from slash80.cluster.objects.reading import Document, Unreadable, mapping, text
from slash80.errors import shown

T = TypeVar("T")
Indexer = Callable[[T], Iterable[Hashable]]
NAMELESS = "(an object without a name)"
_MOST = 200_000  # objects: a cluster of 5000 nodes has 150,000 pods at most
_NAMED = 100  # how many unreadable objects are remembered by name
# What a reader or an indexer may raise for an object that was not foreseen. Each costs that object only.
_MISREAD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """A record that was added (`old` is None), has changed, or was deleted (`new` is None)."""

    key: str
    old: T | None
    new: T | None


class TooMany(Exception):
    """A list has more objects than are kept."""


@dataclass(slots=True)
class Listing(Generic[T]):
    """A list that is being received; nothing of it counts before all of it is there."""

    records: dict[str, T] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def key_of(document: Mapping[str, Any]) -> str:
    """Return `namespace/name`, or the name of an object of the whole cluster; raise Unreadable without one."""
    metadata = mapping(document, "metadata")
    name, namespace = text(metadata, "name", most=253), text(metadata, "namespace", most=253)
    if not name:
        raise Unreadable("metadata.name is missing")
    return f"{namespace}/{name}" if namespace else name


def version_of(document: Mapping[str, Any]) -> str:
    """Return the resource version of an object; empty where it has none."""
    try:
        return text(mapping(document, "metadata"), "resourceVersion", most=253)
    except Unreadable:
        return ""


class Cache(Generic[T]):
    """Records by key, for one thread that writes and any number that read.

    An object that cannot be read keeps the record that it had: for a policy or a node what was last understood is
    better than nothing. Its key and the reason are in `unreadable`.
    """

    def __init__(
        self,
        read: Callable[[Document], T | None],
        indexers: Mapping[str, Indexer[T]] | None = None,
        *,
        most: int = _MOST,
    ) -> None:
        """Begin empty."""
        self._read, self._most = read, most
        self._records: dict[str, T] = {}
        self._unreadable: dict[str, str] = {}
        self._indexes = {name: _Index(indexer) for name, indexer in (indexers or {}).items()}
        self._lock = threading.RLock()

    def get(self, key: str) -> T | None:
        """Return a record."""
        return self._records.get(key)

    def records(self) -> list[T]:
        """Return all records, in the order of their keys."""
        with self._lock:
            return [record for _, record in sorted(self._records.items(), key=_key)]

    def indexed(self, index: str, value: Hashable) -> list[T]:
        """Return the records that have a value in an index, in the order of their keys."""
        with self._lock:
            return [self._records[key] for key in sorted(self._indexes[index].keys(value))]

    @property
    def unreadable(self) -> dict[str, str]:
        """Why objects could not be read, by key; a hundred of them at most."""
        with self._lock:
            return self._unreadable.copy()

    @property
    def incomplete(self) -> bool:
        """Whether a change was lost: it is not known of which object."""
        return NAMELESS in self._unreadable

    def lose(self, reason: str) -> None:
        """Note that a change was lost."""
        with self._lock:
            self._unreadable[NAMELESS] = reason

    def receive(self, documents: Iterable[Any], listing: Listing[T]) -> None:
        """Read a page of a list; raise TooMany where it grows beyond what is kept."""
        for document in documents:
            key = NAMELESS
            try:
                key = key_of(document)
                record = self._checked(document)
            except _MISREAD as error:
                _note(listing.unreadable, key, error)
                record = self._records.get(key)
            if record is not None:
                # what has not changed is kept once, not twice, while the new list is read
                before = self._records.get(key)
                listing.records[key] = before if before is not None and before == record else record
            if len(listing.records) > self._most:
                raise TooMany(f"there are more than {self._most} objects")

    def replace(self, listing: Listing[T]) -> list[Change[T]]:
        """Take a list that is whole in place of what was there, and return what that changes."""
        with self._lock:
            gone = [Change(key, old, None) for key, old in self._records.items() if key not in listing.records]
            changes = gone + [
                Change(key, old, new)
                for key, new in listing.records.items()
                if (old := self._records.get(key)) is not new and old != new
            ]
            for change in changes:
                self._put(change)
            self._unreadable = listing.unreadable
        return changes

    def apply(self, document: Mapping[str, Any], *, deleted: bool) -> Change[T] | None:
        """Take an object that has changed, and return what that changes; None when it is nothing that is kept."""
        key, new = NAMELESS, None
        try:
            key = key_of(document)
            if not deleted:
                new = self._checked(document)
        except _MISREAD as error:
            with self._lock:
                _note(self._unreadable, key, error)
            return None
        with self._lock:
            self._unreadable.pop(key, None)
            change = Change(key, self._records.get(key), new)
            if change.old == change.new:
                return None
            if change.old is None and len(self._records) >= self._most:
                _note(self._unreadable, key, TooMany(f"it is one more than the {self._most} that are kept"))
                return None
            self._put(change)
        return change

    def _checked(self, document: Any) -> T | None:  # noqa: ANN401 -- whatever the server sent
        """Read a record that every index takes, so that nothing fails half-way later."""
        record = self._read(document)
        if record is not None:
            for index in self._indexes.values():
                index.values(record)
        return record

    def _put(self, change: Change[T]) -> None:
        for index in self._indexes.values():
            index.put(change)
        if change.new is None:
            self._records.pop(change.key, None)
        else:
            self._records[change.key] = change.new


class _Index(Generic[T]):
    """Keys by value. Most values have one object, whose key stands there by itself: a set takes 216 bytes more."""

    def __init__(self, indexer: Indexer[T]) -> None:
        self._indexer = indexer
        self._found: dict[Hashable, str | set[str]] = {}

    def values(self, record: T | None) -> set[Hashable]:
        return set(self._indexer(record)) if record is not None else set()

    def keys(self, value: Hashable) -> set[str]:
        found = self._found.get(value, set())
        return {found} if isinstance(found, str) else found

    def put(self, change: Change[T]) -> None:
        before, after = self.values(change.old), self.values(change.new)
        for value in before - after:
            self._discard(value, change.key)
        for value in after - before:
            self._add(value, change.key)

    def _add(self, value: Hashable, key: str) -> None:
        found = self._found.get(value)
        if found is None:
            self._found[value] = key
        elif isinstance(found, str):
            self._found[value] = {found, key}
        else:
            found.add(key)

    def _discard(self, value: Hashable, key: str) -> None:
        found = self._found.get(value)
        if isinstance(found, set) and len(found) > 2:
            found.discard(key)
        elif isinstance(found, set):
            self._found[value] = next(iter(found - {key}))
        else:
            self._found.pop(value, None)


def _key(item: tuple[str, object]) -> str:
    return item[0]


def _note(unreadable: dict[str, str], key: str, error: Exception) -> None:
    if len(unreadable) < _NAMED or key in {*unreadable, NAMELESS}:
        foreseen = isinstance(error, Unreadable | TooMany)
        unreadable[key] = str(error) if foreseen else f"{type(error).__name__}: {shown(str(error))}"
