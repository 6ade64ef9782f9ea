"""Which fields of an object one manager has set by server-side apply, as a digest to compare with what it would apply.

The API server keeps for each field who set it (`metadata.managedFields`,
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management). What one manager still owns, with
its values, is what it has applied, without what others have changed since: if that is what it wants, nothing has to be
written. Defaults and fields of others do not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from slash80.cluster.objects.reading import Document, Unreadable, mapping, mappings, text

_DEPTH = 32
_BYTES = 16  # of a digest
_UNOWNED = ("name", "namespace", "uid")  # of metadata: they say which object is meant
NOTHING = b""
_EMPTY = frozenset({"null", "{}", "[]"})  # whether it is kept depends on the kind
_quoted = json.encoder.encode_basestring_ascii  # what json.dumps does with a string, without what it does before


def digest(body: Mapping[str, Any]) -> bytes:
    """Return a digest of what is applied; the order of lists of objects does not count."""
    wanted = {key: value for key, value in body.items() if key not in {"apiVersion", "kind"}}
    if isinstance(metadata := wanted.get("metadata"), dict):
        wanted["metadata"] = {key: value for key, value in metadata.items() if key not in _UNOWNED}
    return hashlib.sha256(_canonical(wanted).encode()).digest()[:_BYTES]


def applied(document: Document, manager: str, subresource: str = "") -> bytes:
    """Return the digest of what a manager has applied to an object and still owns; nothing where it owns nothing."""
    entries = mappings(mapping(document, "metadata"), "managedFields")
    for entry in entries:
        found = text(entry, "manager"), text(entry, "operation"), text(entry, "subresource")
        if found == (manager, "Apply", subresource):
            return digest(_owned(document, mapping(entry, "fieldsV1"), _DEPTH))
    return NOTHING


def other_managers(document: Document, manager: str) -> tuple[str, ...]:
    """Return who else has set fields of an object."""
    entries = mappings(mapping(document, "metadata"), "managedFields")
    return tuple(sorted({text(entry, "manager", most=253) for entry in entries} - {manager, ""}))


def _canonical(value: Any) -> str:  # noqa: ANN401 -- JSON
    """Write a value so that equal ones are written alike; ten thousand slices are compared at a start."""
    if isinstance(value, dict):
        found = ((key, _canonical(value[key])) for key in sorted(value))
        return "{" + ",".join(f"{_quoted(key)}:{one}" for key, one in found if one not in _EMPTY) + "}"
    if isinstance(value, list):
        each = [_canonical(one) for one in value]
        return "[" + ",".join(sorted(each) if any(one[0] == "{" for one in each) else each) + "]"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _owned(value: Any, fields: Mapping[str, Any], depth: int) -> Any:  # noqa: ANN401 -- JSON
    """Return the part of a value that a set of fields names."""
    if not depth:
        raise Unreadable("metadata.managedFields is nested too deep")
    inner = {name: of for name, of in fields.items() if name != "."}
    if not inner:
        return value
    if isinstance(value, list):
        return [*_entries(value, inner, depth - 1)]
    if not isinstance(value, dict):
        return value
    found = ((name.removeprefix("f:"), of) for name, of in inner.items())
    return {name: _owned(value[name], _fields(of), depth - 1) for name, of in found if name in value}


def _entries(value: list[Any], fields: Mapping[str, Any], depth: int) -> Iterator[Any]:
    """Yield the owned entries of a list: `k:` has the fields that identify one, `v:` is one that is a plain value."""
    for name, of in fields.items():
        kind, _, key = name.partition(":")
        identity = json.loads(key)
        if kind == "v" and identity in value:
            yield identity
        elif kind == "k":
            for one in _identified(value, identity):
                yield _owned(one, _fields(of), depth)


def _identified(value: Iterable[Any], identity: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for one in value:
        if isinstance(one, dict) and all(one.get(key) == found for key, found in identity.items()):
            yield one


def _fields(of: object) -> Mapping[str, Any]:
    return of if isinstance(of, dict) else {}
