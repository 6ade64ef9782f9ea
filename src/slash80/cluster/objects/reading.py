"""Reading what the API sends: by field, within bounds, and with the field's name in each refusal.

The API server checks the types of its own kinds, but not those of every custom resource, and a proxy in between may
send anything. An object that does not fit raises `Unreadable` and costs only itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Generic, TypeVar

from slash80.addressing.family import Prefix
from slash80.errors import shown

Document = dict[str, Any]
T_co = TypeVar("T_co", covariant=True)
_ENTRIES = 1000
_CHARACTERS = 64 << 10
_PREFIX = 64  # characters
_NAME = 253  # of a DNS name (RFC 1123)


class Unreadable(ValueError):
    """A field of an object has a type or a size that it cannot have."""


@dataclass(frozen=True, slots=True)
class Resource(Generic[T_co]):
    """A kind of object: the path of its list, and what is kept of an object; `read` returns None for "nothing".

    `labels` is a label selector: the API server leaves out all other objects.
    """

    path: str
    read: Callable[[Document], T_co | None]
    labels: str = ""


@contextmanager
def within(key: str) -> Iterator[None]:
    """Name the part of an object that something below it was refused in: `spec.ingress[0]`."""
    try:
        yield
    except Unreadable as error:
        raise Unreadable(f"{key}.{error}") from error


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


def named(document: Document) -> tuple[str, str]:
    """Return an object's namespace and name; raise Unreadable where it has none."""
    metadata = mapping(document, "metadata")
    namespace, name = text(metadata, "namespace", most=_NAME), text(metadata, "name", most=_NAME)
    if not namespace or not name:
        raise Unreadable("metadata.namespace or metadata.name is missing")
    return namespace, name


def entries(parent: Mapping[str, Any], key: str, *, of: str = "") -> list[Any]:
    """Return the list under a key, of whatever length and contents; none where it is missing or null."""
    value = parent.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unreadable(f"{key} is {shown(value)}, but must be a list{of}")
    return value


def prefixes(values: Iterable[str], *, strict: bool = False) -> Iterator[Prefix]:
    """Yield strings as prefixes; raise Unreadable for the first that is not one, or `strict` that has host bits."""
    for value in values:
        if len(value) > _PREFIX or "%" in value:
            raise Unreadable(f"{shown(value)} is not a prefix")  # one with a zone means something on one node only
        try:
            yield ip_network(value, strict=strict)
        except ValueError as error:
            raise Unreadable(f"{shown(value)} is not a prefix: {error}") from error


def _listed(parent: Mapping[str, Any], key: str, kind: type, *, most: int) -> list[Any]:
    of = f" of {'objects' if kind is dict else 'strings'}"
    value = entries(parent, key, of=of)
    if len(value) > most:
        raise Unreadable(f"{key} has {len(value)} entries, of which at most {most} are read")
    if not all(isinstance(entry, kind) for entry in value):
        raise Unreadable(f"{key} is {shown(value)}, but must be a list{of}")
    return value
