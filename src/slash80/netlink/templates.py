"""Netlink messages that pyroute2 encodes once for each shape, and that are patched from then on.

Encoding costs pyroute2 0.1 to 0.3 ms a message, and an ADD has thirty: more than all that the kernel does for them. The
shape is everything but the values: type, flags, header fields, attributes and their lengths. The first message of a
shape is encoded with marks for values, which are found again in its bytes; after that only those are exchanged.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Union

from slash80.addressing.mac import Mac
from slash80.netlink.constants import NLM_F_REQUEST

Value = int | str | bytes | Mac | IPv4Address | IPv6Address
Attributes = list[tuple[str, Union[Value, "Attributes"]]]
# Not patched: IFLA_INFO_KIND decides how its neighbour is encoded, and is always "veth" here; the mode is one byte.
_FIXED = frozenset({"IFLA_INFO_KIND", "IFLA_INET6_ADDR_GEN_MODE"})
_WORD = 4  # bytes of an interface's index, and of every number that an attribute of ours holds
_word = struct.Struct("=I").pack
_TRIES = 16  # of marks, one of which may be found twice


@dataclass(frozen=True, slots=True)
class MessageType:
    """What is asked of the kernel: pyroute2's message class, the message's type, the flags, and the index's field."""

    message: Any
    kind: int
    flags: int
    index: str = "index"


class Templates:
    """The shapes that were met so far: few, and bounded by the lengths that a name or an alias can have."""

    def __init__(self) -> None:
        """Start with none: a process encodes only what it uses."""
        self._known: dict[object, _Template] = {}

    def fill(
        self, form: str, verb: MessageType, index: int, *, attributes: Attributes, fields: Mapping[str, int]
    ) -> bytes:
        """Return the message that `encode` would return, for an interface `index` that may be 0.

        Messages of the same `form` differ in the values of fields, and in how many attributes there are of what length.
        """
        values = [_word(index)] if verb.index else []
        _append_packed(attributes, values)
        shape = (form, *fields.values(), *map(len, values))
        template = self._known.get(shape)
        if template is None:
            template = self._known[shape] = _Template(verb, attributes, fields)
        return template.filled(values)


def encode(verb: MessageType, index: int, *, attributes: Attributes, fields: Mapping[str, int]) -> bytes:
    """Have pyroute2 encode a message."""
    message = verb.message()
    message["header"]["type"] = verb.kind
    message["header"]["flags"] = verb.flags | NLM_F_REQUEST
    for name, value in fields.items():
        message[name] = value
    if verb.index:
        message[verb.index] = index
    message["attrs"] = _pyroute2_attributes(attributes)
    message.encode()
    return bytes(message.data)


def pack(value: Value) -> bytes:
    """Return a value's bytes in an attribute."""
    if isinstance(value, int):
        return _word(value)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape") + b"\0"
    return value if isinstance(value, bytes) else value.packed


def _append_packed(attributes: Attributes, values: list[bytes]) -> None:
    """Append the bytes of the values that are patched. A generator of values takes twice as long; an ADD has 25."""
    for name, value in attributes:
        if isinstance(value, list):
            _append_packed(value, values)
        elif name not in _FIXED:
            values.append(_word(value) if isinstance(value, int) else pack(value))


class _Template:
    """One shape's bytes, in pieces: every second one is a value's."""

    def __init__(self, verb: MessageType, attributes: Attributes, fields: Mapping[str, int]) -> None:
        for attempt in range(_TRIES):
            index, others = int.from_bytes(_raw(_WORD, f"{attempt}"), sys.byteorder), _marks(attributes, attempt)
            data = encode(verb, index, attributes=_replaced(attributes, iter(others)), fields=fields)
            self._pieces = _split(data, [pack(mark) for mark in ([index, *others] if verb.index else others)])
            if self._pieces:
                return
        raise AssertionError(f"pyroute2 does not encode the values of {verb.message.__name__} as they are packed here")

    def filled(self, values: list[bytes]) -> bytes:
        pieces = self._pieces.copy()
        pieces[1::2] = values
        return b"".join(pieces)


def _split(data: bytes, marks: list[bytes]) -> list[bytes]:
    """Cut a message at its marks; return nothing when one of them is not there once, in its turn."""
    pieces, rest = [], data
    for mark in marks:
        before, found, rest = rest.partition(mark)
        if not found or data.count(mark) != 1:
            return []
        pieces += [before, mark]
    return [*pieces, rest]


def _patched_values(attributes: Attributes) -> Iterator[Value]:
    """Return the values that are patched, in the order in which they lie in the message."""
    for name, value in attributes:
        if isinstance(value, list):
            yield from _patched_values(value)
        elif name not in _FIXED:
            yield value


def _marks(attributes: Attributes, attempt: int) -> list[Value]:
    return [mark(value, f"{attempt} {number}") for number, value in enumerate(_patched_values(attributes))]


def mark(value: Value, seed: str) -> Value:
    """Return a value of the same type and length whose bytes are unlikely to occur elsewhere."""
    raw = _raw(len(pack(value)), seed)
    if isinstance(value, str):
        return raw[:-1].decode()
    if isinstance(value, int):
        return int.from_bytes(raw, sys.byteorder)
    if isinstance(value, bytes):
        return raw
    return Mac.unpack(raw) if isinstance(value, Mac) else type(value)(raw)


def _raw(length: int, seed: str) -> bytes:
    digits = hashlib.sha256(seed.encode()).hexdigest()
    return (digits * (length // len(digits) + 1))[:length].encode()


def _replaced(attributes: Attributes, marks: Iterator[Value]) -> Attributes:
    return [
        (name, _replaced(value, marks) if isinstance(value, list) else value if name in _FIXED else next(marks))
        for name, value in attributes
    ]


def _pyroute2_attributes(attributes: Attributes) -> list[tuple[str, Any]]:
    """Convert attributes to pyroute2's form: numbers unchanged, nested ones under `attrs`, all others as text."""
    return [
        (name, {"attrs": _pyroute2_attributes(value)})
        if isinstance(value, list)
        else (name, value if isinstance(value, int) else str(value))
        for name, value in attributes
    ]
