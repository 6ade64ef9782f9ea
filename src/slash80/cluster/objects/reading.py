"""Reading what the API sends: by field, within bounds, and with the field's name in each refusal.

The API server checks the types of its own kinds, but not those of every custom resource, and a proxy in between may
send anything. An object that does not fit raises `Unreadable` and costs only itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Generic, TypeVar

from slash80.addressing.family import Prefix
from slash80.errors import shown

Document = dict[str, Any]
T_co = TypeVar("T_co", covariant=True)
_ENTRIES = 1000
_CHARACTERS = 64 << 10


class Unreadable(ValueError):
    """A field of an object has a type or a size that it cannot have."""


@dataclass(frozen=True, slots=True)
class Resource(Generic[T_co]):
    """A kind of object: the path of its list, and what is kept of an object; `read` returns None for "nothing"."""

    path: str
    read: Callable[[Document], T_co | None]


def mapping(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the object under a key, an empty one where it is missing or null."""
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable(f"{key} is {shown(value)}, but must be an object")
    return value


def mappings(parent: Mapping[str, Any], key: str, *, most: int = _ENTRIES) -> list[Mapping[str, Any]]:
    """Return the objects in the list under a key; none where it is missing or null."""
    return _listed(parent, key, dict, most=most)


def texts(parent: Mapping[str, Any], key: str, *, most: int = _ENTRIES) -> list[str]:
    """Return the strings in the list under a key; none where it is missing or null."""
    values: list[str] = _listed(parent, key, str, most=most)
    if any(len(value) > _CHARACTERS for value in values):
        raise Unreadable(f"{key} has a string of more than {_CHARACTERS} characters")
    return values


def text(parent: Mapping[str, Any], key: str, *, most: int = _CHARACTERS) -> str:
    """Return the string under a key, an empty one where it is missing or null."""
    value = parent.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(f"{key} is {shown(value)}, but must be a string")
    if len(value) > most:
        raise Unreadable(f"{key} has {len(value)} characters, of which at most {most} are read")
    return value


def networks(values: Iterable[str]) -> Iterator[Prefix]:
    """Yield the prefixes among strings; what is not one is left out."""
    for value in values:
        with suppress(ValueError):
            yield ip_network(value, strict=False)


def _listed(parent: Mapping[str, Any], key: str, kind: type, *, most: int) -> list[Any]:
    value = parent.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, kind) for entry in value):
        raise Unreadable(f"{key} is {shown(value)}, but must be a list of {'objects' if kind is dict else 'strings'}")
    if len(value) > most:
        raise Unreadable(f"{key} has {len(value)} entries, of which at most {most} are read")
    return value
