"""JSON as it comes from a runtime: bounded, and with keys that Go would match without regard to case."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, BinaryIO, NoReturn

from slash80.errors import IoFailure, Undecodable, shown
from slash80.ipc import SENTENCES

Document = dict[str, Any]
INPUT_BYTES = 4 << 20  # Kubernetes allows 256 KiB of annotations, of which Go writes each `<` as six bytes
_DEPTH = 64


def read(stdin: BinaryIO) -> Document:
    """Read one JSON object of at most INPUT_BYTES; raise IoFailure or Undecodable."""
    try:
        raw = stdin.read(INPUT_BYTES + 1)
    except OSError as error:
        msg = SENTENCES["UNREADABLE"] % (error.strerror or error)
        raise IoFailure(msg) from error
    return decode(raw)


def decode(raw: bytes) -> Document:
    """Decode a JSON object; raise Undecodable. `null` gives an empty one, as it does in Go."""
    if len(raw) > INPUT_BYTES:
        msg = f"standard input has more than {INPUT_BYTES} bytes; the usual cause is the pod's annotations, which the"
        msg += " runtime adds to the network configuration: make those smaller"
        raise Undecodable(msg)
    try:
        document = _DECODER.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"standard input is not a JSON document: {error or type(error).__name__}"
        raise Undecodable(msg) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        msg = f"standard input is a JSON {type(document).__name__}, but must be an object"
        raise Undecodable(msg)
    _refuse_depth(document)
    return document


def _refuse_depth(document: Document) -> None:
    """Raise Undecodable for a document that is nested so deep that walking it could exhaust the stack."""
    level: list[Any] = [document]
    for _ in range(_DEPTH):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    msg = f"standard input is nested deeper than {_DEPTH} levels; a network configuration is not"
    raise Undecodable(msg)


def get(document: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 -- any JSON value
    """Return the value of a key: exact match first, else without regard to case; None without it."""
    if name in document:
        return document[name]
    found, lowered = None, name.lower()
    for key, value in document.items():
        if key.lower() == lowered:
            found = value  # the last one, as in Go
    return found


def section(document: Mapping[str, Any], name: str) -> Document:
    """Return the object under a key, empty without it; raise Undecodable for anything else."""
    value = get(document, name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        msg = f"'{name}' is {shown(value)}, but must be an object"
        raise Undecodable(msg)
    return value


def objects(result: Mapping[str, Any], name: str) -> list[Document]:
    """Return the list of objects under a key of a previous result; raise Undecodable for anything else."""
    found = get(result, name)
    value = [] if found is None else found
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        msg = f"'prevResult' has '{name}' with the value {shown(value)}, but must have a list of objects"
        raise Undecodable(msg)
    return value


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _refuse(text)
    return number


def _refuse(constant: str) -> NoReturn:
    msg = f"{constant} is not a JSON number"
    raise ValueError(msg)


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)  # json.loads would make one at each call
