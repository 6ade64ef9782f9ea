"""Batches of messages that are put together once for each shape, and of which only the values are exchanged then.

A step costs 3 us in a loop, and 10 where it is made once in a while, as in an ADD: by then its code has left the CPU's
caches. An ADD has eighteen of them in three batches. The first batch of a shape is made of marks, as in `templates`,
and two others are compared with what it gives for their values.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cached_property
from typing import overload

from slash80.netlink.codec import Step
from slash80.netlink.constants import NLM_F_ACK
from slash80.netlink.templates import Value, mark, pack

_NUMBERED, _NUMBERED_AT = struct.Struct("=HII"), 6  # flags, sequence and port, in a header
_NUMBER, _NUMBER_AT = struct.Struct("=II"), 8
_TRIES = 16  # of marks, one of which may be found by chance
Make = Callable[..., list[Step]]  # of what is fixed, a tuple, and of the values, another one


def joined(steps: Sequence[Step], first: int) -> bytearray:
    """Join the messages, numbered; only the last one asks to be acknowledged.

    The kernel processes them in order, so its acknowledgement covers all; a failure is reported in any case
    (netlink_rcv_skb in net/netlink/af_netlink.c).
    """
    data = bytearray()
    last = first + len(steps) - 1
    for sequence, step in enumerate(steps, first):
        at = len(data) + _NUMBERED_AT
        data += step.message
        flags, _, _ = _NUMBERED.unpack_from(data, at)
        _NUMBERED.pack_into(data, at, flags if sequence == last else flags & ~NLM_F_ACK, sequence, 0)
        data += bytes(-len(data) % 4)
    return data


class Batch(Sequence[Step]):
    """Steps that are made only where they are looked at, as when one has failed; what is sent is there without them."""

    def __init__(self, data: bytearray, starts: Sequence[int], make: Callable[[], list[Step]]) -> None:
        """Take the messages, where each begins, and what makes the steps."""
        self._data, self._starts, self._make = data, starts, make

    def numbered(self, first: int) -> bytearray:
        """Return what `joined` returns for the steps."""
        for sequence, start in enumerate(self._starts, first):
            _NUMBER.pack_into(self._data, start + _NUMBER_AT, sequence, 0)
        return self._data

    @cached_property
    def _steps(self) -> list[Step]:
        return self._make()

    def __len__(self) -> int:
        """Count the steps."""
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> list[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | list[Step]:
        """Return a step, or some."""
        return self._steps[index]


class Batches:
    """The shapes that were met so far, which are few, as those of `Templates`."""

    def __init__(self) -> None:
        """Start with none."""
        self._known: dict[Hashable, _Template] = {}

    def fill(self, make: Make, fixed: tuple[Hashable, ...], values: tuple[Value, ...]) -> Batch:
        """Return the steps that `make` returns for what is `fixed` and for the values.

        The values may change bytes of the messages only, each in its places, and not which messages there are.
        """
        packed = [pack(value) for value in values]
        shape = (make, fixed, *map(len, packed))
        template = self._known.get(shape)
        if template is None:
            template = self._known[shape] = _Template(make, fixed, values)
        return Batch(template.filled(packed), template.starts, lambda: make(fixed, values))


class _Template:
    """One shape's bytes, in pieces: every second one is a value's."""

    def __init__(self, make: Make, fixed: tuple[Hashable, ...], values: tuple[Value, ...]) -> None:
        for attempt in range(_TRIES):
            marks, *others = (_marks(values, f"{attempt} {seed}") for seed in range(3))
            steps = make(fixed, marks)
            self._pieces, self._order = _cut(joined(steps, 0), [pack(one) for one in marks])
            if all(self.filled([pack(one) for one in other]) == joined(make(fixed, other), 0) for other in others):
                self.starts = tuple(_starts(steps))
                return
        raise AssertionError(f"the messages of {make.__name__} have more that depends on the values than their bytes")

    def filled(self, values: Sequence[bytes]) -> bytearray:
        pieces = self._pieces.copy()
        pieces[1::2] = [values[number] for number in self._order]
        return bytearray().join(pieces)


def _marks(values: Sequence[Value], seed: str) -> tuple[Value, ...]:
    """Return a mark for each value, of its type and length."""
    return tuple([mark(value, f"{seed} {number}") for number, value in enumerate(values)])


def _cut(data: bytearray, marks: Sequence[bytes]) -> tuple[list[bytes], list[int]]:
    """Cut messages wherever a mark is; return the pieces, and whose mark each second one is."""
    pieces, order, end = [], [], 0
    for start, number in sorted((start, number) for number, one in enumerate(marks) for start in _found(data, one)):
        if start >= end:  # or it lies by chance within another one, which the comparison shows
            pieces += [bytes(data[end:start]), marks[number]]
            order.append(number)
            end = start + len(marks[number])
    return [*pieces, bytes(data[end:])], order


def _found(data: bytearray, one: bytes) -> Iterator[int]:
    start = data.find(one)
    while start >= 0:
        yield start
        start = data.find(one, start + 1)


def _starts(steps: Sequence[Step]) -> Iterator[int]:
    """Return where each step's message begins; another one that has no number of its own may follow it there."""
    start = 0
    for step in steps:
        yield start
        start += len(step.message) + 3 & ~3
