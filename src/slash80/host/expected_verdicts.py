"""What applies to the node's next pods, in memory that the agent's processes share: an ADD of one of them asks no one.

The controller writes it for Pods that are bound to the node and have no interface yet, whose chains are in the kernel
already; see `policy.compile`. It is memory and no file since it must not outlive the controller: policies may change
while no agent runs. The agent's processes die with each other.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Iterable
from typing import NamedTuple

from slash80.addressing.attachment import Pod

_SIZE = 256 * 1024  # bytes; a Pod takes 130 at most, and a node expects 512 of them
_STALE = 0  # where the byte is that says so
_NUMBERS = struct.Struct("@II")  # how many have been used, and the bytes of text
_NUMBERS_AT, _TEXT_AT = 8, 16


class Verdicts(NamedTuple):
    """What judges a pod's packets, by the maps that lead there: a chain, or a word without one. "" is unknown."""

    egress4: str = ""
    egress6: str = ""
    ingress4: str = ""
    ingress6: str = ""


class ExpectedVerdicts:
    """Verdicts by Pod. All but `outdated` is called under the firewall's lock of the state directory."""

    def __init__(self) -> None:
        """Begin without any; processes that are forked from now on have the same."""
        self._memory = mmap.mmap(-1, _SIZE)

    def outdated(self) -> None:
        """Have nothing used until `begin`: a policy has changed, or what it selects by. Any thread may call it."""
        self._memory[_STALE] = 1

    @property
    def is_outdated(self) -> bool:
        """Whether something has changed since `begin`; it needs no lock."""
        return bool(self._memory[_STALE])

    def begin(self) -> None:
        """Forget all of them, and note that what has changed until now is going to be looked at."""
        self.clear()
        self._memory[_STALE] = 0

    def clear(self) -> None:
        """Forget all of them."""
        self._note(self.used, 0)

    def write(self, verdicts: Iterable[tuple[Pod, Verdicts]]) -> None:
        """Have these, in the place of all others; those for which there is no room have to ask."""
        lines = b"".join(_line(pod, chains) for pod, chains in verdicts)
        text = lines[: lines.rfind(b"\n", 0, _SIZE - _TEXT_AT) + 1]
        self._memory[_TEXT_AT : _TEXT_AT + len(text)] = text
        self._note(self.used, len(text))

    def use(self, pod: Pod) -> Verdicts | None:
        """Return what applies to a pod; None where it is not known, or may be something else by now."""
        used, size = self._numbers
        end = _TEXT_AT + size
        if self._memory[_STALE] or not pod.uid or (at := self._memory.find(_key(pod), _TEXT_AT, end)) < 0:
            return None
        line = self._memory[at : self._memory.find(b"\n", at, end)]
        self._note(used + 1, size)
        return Verdicts(*line.decode("ascii").split(" ")[1:])

    @property
    def used(self) -> int:
        """How many pods did not have to ask, since the start."""
        return self._numbers[0]

    @property
    def _numbers(self) -> tuple[int, int]:
        used, size = _NUMBERS.unpack_from(self._memory, _NUMBERS_AT)
        return used, size

    def _note(self, used: int, size: int) -> None:
        _NUMBERS.pack_into(self._memory, _NUMBERS_AT, used, size)


def _key(pod: Pod) -> bytes:
    """Return what a line begins with: a hash, since a Pod's author may write its UID, see `cluster.objects.pod`.

    The namespace's name and the Pod's come first and have no slash, so no other Pod has the same text.
    """
    name = f"{pod.namespace}/{pod.name}/{pod.uid}"
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest().encode()


def _line(pod: Pod, verdicts: Verdicts) -> bytes:
    return _key(pod) + f" {' '.join(verdicts)}\n".encode("ascii")
