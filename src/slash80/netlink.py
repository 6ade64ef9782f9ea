"""One netlink socket: batches of ready-made messages go out, answers and acknowledgements come in, one by one.

Only `wiring` and `firewall` may use it. What the messages say is theirs; pyroute2's message classes make them. The
socket is our own because a batch must name the step that failed, which needs each acknowledgement with its extended
message. Source: Documentation/userspace-api/netlink/intro.rst of the kernel.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_ECHO, NLM_F_EXCL, NLM_F_CREATE = 0x1, 0x4, 0x8, 0x200, 0x400
NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x300, 0x10, 0x100, 0x200
_SOL_NETLINK, _CAP_ACK, _EXT_ACK, _GET_STRICT_CHK = 270, 10, 11, 12
_ADD_MEMBERSHIP, _DROP_MEMBERSHIP = 1, 2
_NLMSGERR_ATTR_MSG = 1
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_FLAGS, _NUMBER = struct.Struct("=H"), struct.Struct("=II")  # of a header, at 6 and at 8
_ERRNO, _ATTRIBUTE = struct.Struct("=i"), struct.Struct("=HH")
_BUFFER = 1 << 16  # a dump comes in parts of at most 32 KiB (netlink_dump in net/netlink/af_netlink.c)
_SO_RCVBUFFORCE, _RECEIVED = 33, 1 << 20
_DUMP_TRIES = 5
_AT_ONCE = 100
_NEWS_SECONDS = 30.0
_ANSWER_WAIT = struct.pack("ll", 30, 0)  # seconds, microseconds; the kernel answers at once or not at all


@dataclass(frozen=True, slots=True)
class Step:
    """A message and, for people, the command that does the same, put together only when somebody reads it."""

    text: str
    message: bytes
    values: tuple[object, ...] = ()

    @property
    def what(self) -> str:
        """The command."""
        return self.text % self.values if self.values else self.text


@dataclass(frozen=True, slots=True)
class Part:
    """One message of an answer: its type and what follows the header."""

    kind: int
    body: bytes


@dataclass(slots=True)
class Answer:
    """What the kernel said to one step: an errno (0: done), its words, and the messages that it sent."""

    errno: int = 0
    words: str = ""
    parts: list[Part] = field(default_factory=list)


_DONE = Answer()  # of every step that was done and of which the kernel has nothing to tell


class NetlinkError(OSError):
    """A step that the kernel refused; `strerror` names the step and the kernel's own words."""

    def __init__(self, step: Step, answer: Answer) -> None:
        """Tell which step failed, and why."""
        reason = os.strerror(answer.errno) + (f" ({answer.words})" if answer.words else "")
        super().__init__(answer.errno, f"'{step.what}' failed: {reason}")
        self.step = step


class Socket:
    """A netlink socket of the network namespace that the opening thread is in; it stays there wherever it is used."""

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        """Open and bind; raise OSError where the kernel lacks the protocol."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence, self._buffer = 0, bytearray(_BUFFER)
        self._news: list[Part] = []
        self._only: Callable[[bytes], bool] | None = None  # of a dump's parts, or all would be in memory at once
        for option in (_CAP_ACK, _EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        if protocol == NETLINK_ROUTE:
            self._socket.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _ANSWER_WAIT)
        with suppress(PermissionError):  # a storm of pods tells much between two reads
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVED)
        self._socket.bind((0, 0))

    def __enter__(self) -> Self:
        """Use the socket as a context."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket."""
        self.close()

    def close(self) -> None:
        """Close the socket; a socket keeps its network namespace alive."""
        self._socket.close()

    def run(self, steps: Sequence[Step]) -> list[Answer]:
        """Do all steps in one send; raise NetlinkError for the first that failed, after all were answered."""
        answers = self.exchange(steps)
        for step, answer in zip(steps, answers, strict=True):
            if answer.errno:
                raise NetlinkError(step, answer)
        return answers

    @contextmanager
    def hearing(self, group: int) -> Iterator[None]:
        """Hear what the kernel tells the group during the block, for `wait_for_news`."""
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        try:
            yield
        finally:
            self._socket.setsockopt(_SOL_NETLINK, _DROP_MEMBERSHIP, group)
            self._drain()

    def _drain(self) -> None:
        """Forget what was told and not yet read, or the next block takes it for its own."""
        with suppress(BlockingIOError):
            while True:
                self._socket.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
        self._news.clear()

    def wait_for_news(self, wanted: Callable[[Part], bool]) -> None:
        """Return as soon as the kernel has told something that is wanted, which may have been before this call.

        Raise TimeoutError when it tells of nothing else for too long: in a storm of pods there is always something.
        """
        deadline = time.monotonic() + _NEWS_SECONDS
        while time.monotonic() < deadline:
            news, self._news = self._news, []
            if any(map(wanted, news)):
                return
            self._settle(self._sequence + 1, [])
        raise TimeoutError(errno.ETIMEDOUT, "the kernel did not tell that an address can be used")

    def ask(self, step: Step) -> list[Part]:
        """Send one question and give the messages of its answer; raise NetlinkError when it is refused."""
        return self.run([step])[0].parts

    def dump(self, step: Step, *, disturbed: bool = False, only: Callable[[bytes], bool] | None = None) -> list[Part]:
        """Read a whole table, or of it `only` what is wanted; what the kernel says was disturbed is read again.

        Where links come and go all the time it always is. Whoever can do with what it saw in all goes, old entries and
        some of the new ones, takes it `disturbed`; others get a NetlinkError in the end. What was seen several times is
        given once, where it was seen last.
        """
        seen: dict[bytes, Part] = {}
        self._only = only
        try:
            for _ in range(_DUMP_TRIES):
                answer = self.exchange([step])[0]
                if answer.errno != errno.EINTR:
                    break
                for part in answer.parts:
                    seen.pop(part.body, None)
                    seen[part.body] = part
        finally:
            self._only = None
        if answer.errno == errno.EINTR and disturbed:
            return list(seen.values())
        if answer.errno:
            raise NetlinkError(step, answer)
        return answer.parts

    def _receive(self) -> int:
        """Receive once and give the size; always into the same memory, since fresh one of that size costs 10 us."""
        try:
            size = self._socket.recv_into(self._buffer, 0, socket.MSG_TRUNC)
        except BlockingIOError as error:
            raise TimeoutError(errno.ETIMEDOUT, "the kernel did not answer a netlink message") from error
        if size > _BUFFER:
            raise OSError(errno.EMSGSIZE, f"the kernel sent a netlink message of {size} bytes")
        return size

    def exchange(self, steps: Sequence[Step]) -> list[Answer]:
        """Send all steps and give each one's answer, failed or not; only the last may be a dump.

        They go in slices: the answers to more would not fit into the socket's buffer.
        """
        if len(steps) <= _AT_ONCE:
            return self._exchange(steps) if steps else []
        slices = (steps[start : start + _AT_ONCE] for start in range(0, len(steps), _AT_ONCE))
        return [answer for part in slices for answer in self._exchange(part)]

    def _exchange(self, steps: Sequence[Step]) -> list[Answer]:
        first, answers = self._sequence + 1, [_DONE] * len(steps)
        self._sequence += len(steps)
        self._socket.send(_batch(steps, first))
        while not self._settle(first, answers):
            pass
        return answers

    def _settle(self, first: int, answers: list[Answer]) -> bool:
        """Receive once, and settle answers, whose numbers begin at `first`; tell whether the last one came to its end.

        What is older is the rest of an exchange that was given up, and what has no number is news.
        """
        size, offset, buffer, ended = self._receive(), 0, self._buffer, False
        while offset + _HEADER.size <= size:
            length, kind, flags, sequence, _ = _HEADER.unpack_from(buffer, offset)
            if length < _HEADER.size:
                break
            start, end, index = offset + _HEADER.size, offset + length, sequence - first
            offset = end + 3 & ~3
            if not sequence:
                self._news.append(Part(kind, bytes(buffer[start:end])))
            elif 0 <= index < len(answers):
                ended |= index == len(answers) - 1 and kind in {NLMSG_ERROR, NLMSG_DONE}
                if kind != NLMSG_ERROR or _ERRNO.unpack_from(buffer, start)[0]:
                    if (answer := answers[index]) is _DONE:
                        answer = answers[index] = Answer()
                    _take(answer, kind, flags=flags, body=bytes(buffer[start:end]), only=self._only)
        return ended


def attributes(body: bytes, offset: int) -> dict[int, bytes]:
    """Give the attributes that follow a fixed header of `offset` bytes, by type; of a repeated type the last."""
    return dict(attribute_list(body, offset))


def some_attributes(body: bytes, offset: int, wanted: frozenset[int]) -> dict[int, bytes]:
    """Give those attributes that are wanted, and look no further when all were found: a link has fifty of them."""
    found: dict[int, bytes] = {}
    end, missing = len(body), len(wanted)
    while offset + 4 <= end and missing:
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < 4:
            break
        kind &= 0x3FFF
        if kind in wanted:
            found[kind] = body[offset + 4 : offset + length]
            missing -= 1
        offset += length + 3 & ~3
    return found


def attribute_list(body: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Walk attributes in their order. Reading this little by hand costs 10 us; a decoded link message 1.9 ms."""
    while offset + 4 <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, body[offset + 4 : offset + length]
        offset += length + 3 & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """Encode one attribute, padded."""
    return _ATTRIBUTE.pack(len(value) + 4, kind) + value + bytes(-len(value) % 4)


def message(kind: int, flags: int, body: bytes) -> bytes:
    """Encode one message; the socket numbers it when it is sent."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | NLM_F_REQUEST, 0, 0) + body


def _batch(steps: Sequence[Step], first: int) -> bytearray:
    """Join the messages, numbered; only the last one asks to be acknowledged.

    They are done in their order, so by then all are; what fails is told in any case (netlink_rcv_skb in
    net/netlink/af_netlink.c).
    """
    data = bytearray()
    start = 0
    for sequence, step in enumerate(steps, first):
        if data:
            _FLAGS.pack_into(data, start + 6, _FLAGS.unpack_from(data, start + 6)[0] & ~NLM_F_ACK)
        start = len(data)
        data += step.message
        _NUMBER.pack_into(data, start + 8, sequence, 0)
        data += bytes(-len(data) % 4)
    return data


def _take(answer: Answer, kind: int, *, flags: int, body: bytes, only: Callable[[bytes], bool] | None) -> None:
    """Add a message to an answer, if it is wanted."""
    if flags & NLM_F_DUMP_INTR:
        answer.errno = errno.EINTR
    if kind not in {NLMSG_ERROR, NLMSG_DONE}:
        if only is None or only(body):
            answer.parts.append(Part(kind, body))
        return
    code = -_ERRNO.unpack_from(body)[0] if len(body) >= _ERRNO.size else 0  # negated; also at a dump's end
    answer.errno = code or answer.errno
    if kind == NLMSG_ERROR and flags & NLM_F_ACK_TLVS:
        # the failed message's header is repeated, and its body too unless the kernel capped it
        length = _HEADER.unpack_from(body, 4)[0] if not flags & NLM_F_CAPPED else _HEADER.size
        words = attributes(body, 4 + (length + 3 & ~3)).get(_NLMSGERR_ATTR_MSG, b"")
        answer.words = words.rstrip(b"\0").decode("utf-8", "replace")
