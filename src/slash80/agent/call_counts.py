"""How many calls the agent has answered and how long they took, in memory that its processes share.

Each process that answers calls counts in a part of its own, so none waits for another one; the process that is scraped
reads all parts. A call is counted when it has its answer.
"""

from __future__ import annotations

import mmap
import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from slash80.errors import CniError

OTHER, UNDELIVERED, UNEXPECTED = "other", "undelivered", str(CniError.code)
_COMMANDS = ("ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION", OTHER)
# of seconds: an ADD takes 2 ms, one that starts Python 300, and one that waits for a lock may take minutes
BOUNDS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)
_WORD = 8  # bytes of a number
_MICRO = 1_000_000


def _kinds(kind: type[CniError]) -> Iterator[type[CniError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _kinds(one)


_CODES = (*map(str, sorted({0, *(kind.code for kind in _kinds(CniError))})), UNDELIVERED)
_ROW = len(_CODES) + len(BOUNDS) + 2  # numbers of a command: by code, by bound and beyond the last, microseconds


@dataclass(frozen=True, slots=True)
class Answered:
    """The calls of one command by the code of their answers, how many took so long at most by `BOUNDS`, all seconds.

    `codes` has CNI error codes, "0", and `UNDELIVERED` for answers that no one took. The last of `cumulative` are all.
    """

    codes: Mapping[str, int]
    cumulative: tuple[int, ...]
    seconds: float


class Tally:
    """What one process has counted; its threads may count at once, and any process may read."""

    def __init__(self) -> None:
        """Begin at zero; a process that is forked from now on shares it."""
        self._numbers = memoryview(mmap.mmap(-1, _WORD * _ROW * len(_COMMANDS))).cast("Q")
        self._lock = threading.Lock()

    def count(self, command: str, code: int, seconds: float, *, delivered: bool = True) -> None:
        """Count a call; `code` is 0 or that of its error document."""
        row = _ROW * _COMMANDS.index(command if command in _COMMANDS else OTHER)
        answer = str(code) if delivered else UNDELIVERED
        bound = row + len(_CODES) + bisect_left(BOUNDS, seconds)
        with self._lock:
            self._numbers[row + _CODES.index(answer if answer in _CODES else UNEXPECTED)] += 1
            self._numbers[bound] += 1
            self._numbers[row + _ROW - 1] += int(seconds * _MICRO)

    def read(self) -> list[list[int]]:
        """Return the numbers of each command, in the order of `_COMMANDS`."""
        numbers = self._numbers.tolist()
        return [numbers[begin : begin + _ROW] for begin in range(0, len(numbers), _ROW)]


class CallCounts:
    """All that an agent has counted: `workers` those that answer calls, `notes` what is done of notes of DELs."""

    def __init__(self, workers: int) -> None:
        """Begin at zero."""
        self.workers, self.notes = tuple(Tally() for _ in range(workers)), Tally()

    def answered(self) -> Iterator[tuple[str, str, Answered]]:
        """Yield for each way, `agent` or `note`, and each command what was answered."""
        for via, tallies in {"agent": self.workers, "note": (self.notes,)}.items():
            for command, *parts in zip(_COMMANDS, *(tally.read() for tally in tallies), strict=True):
                yield via, command, _added(parts)


def _added(parts: list[list[int]]) -> Answered:
    numbers = [sum(column) for column in zip([0] * _ROW, *parts, strict=True)]
    codes = dict(zip(_CODES, numbers[: len(_CODES)], strict=True))
    return Answered(codes, tuple(accumulate(numbers[len(_CODES) : -1])), numbers[-1] / _MICRO)
