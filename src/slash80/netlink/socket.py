"""One netlink socket: sends batches of encoded messages, and receives a response to each.

The messages belong to `wiring` and `firewall`; pyroute2's message classes encode them. The socket is our own because a
batch must name the step that failed, which needs each acknowledgement with its extended message. Source:
Documentation/userspace-api/netlink/intro.rst of the kernel.
"""

from __future__ import annotations

import errno
import mmap
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from slash80.netlink.batches import Batch, joined
from slash80.netlink.codec import HEADER, Message, NetlinkError, Response, Step, attributes
from slash80.netlink.constants import (
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_CAP_ACK,
    NETLINK_DROP_MEMBERSHIP,
    NETLINK_EXT_ACK,
    NETLINK_GET_STRICT_CHK,
    NETLINK_ROUTE,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSGERR_ATTR_MSG,
    SO_RCVBUFFORCE,
    SOL_NETLINK,
)

_HEADER = HEADER.size
_ERRNO = struct.Struct("=i")
_RECEIVED = 1 << 20  # bytes of receive buffer
_BUFFER = 1 << 16  # a dump comes in parts of at most 32 KiB (netlink_dump in net/netlink/af_netlink.c)
_DUMP_TRIES = 5
_AT_ONCE = 100
_NEWS_SECONDS = 30.0
_ANSWER_WAIT = struct.pack("ll", 30, 0)  # seconds, microseconds; the kernel answers at once or not at all


_LAST = frozenset({NLMSG_ERROR, NLMSG_DONE})
_DONE = Response()  # of every step that was done and of which the kernel has nothing to tell
_MSG_TRUNC, _MSG_DONTWAIT = int(socket.MSG_TRUNC), int(socket.MSG_DONTWAIT)  # joining members of an enum takes 1 us


class _Received(threading.local):
    """Where a thread's sockets receive, one after another.

    Making one takes 15 us, and an ADD opens a socket. It is private, or processes that are forked would share it; only
    what was used of it is really there.
    """

    def __init__(self) -> None:
        self.buffer = mmap.mmap(-1, _BUFFER, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


_received = _Received()


class Socket:
    """A netlink socket of the network namespace that the opening thread is in; it stays there wherever it is used.

    `namespace` is the descriptor of that one, where it is kept open with the socket.
    """

    namespace: int | None = None

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        """Open and bind; raise OSError where the kernel lacks the protocol."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        self._notifications: list[Message] = []
        self._only: Callable[[bytes], bool] | None = None  # of a dump's parts, or all would be in memory at once
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK):
            self._socket.setsockopt(SOL_NETLINK, option, 1)
        if protocol == NETLINK_ROUTE:
            # Without it the kernel ignores the filters of a dump, as RTA_OIF and rtm_table, and returns everything
            # (since Linux 4.20; rtnl_valid_dump_net_req, inet_dump_fib in net/ipv4/fib_frontend.c).
            self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _ANSWER_WAIT)
        # A storm of pods tells much between two reads; with this option beyond net.core.rmem_max, for CAP_NET_ADMIN.
        with suppress(PermissionError):
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _RECEIVED)
        self._socket.bind((0, 0))
        self._port: int = self._socket.getsockname()[0]

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
        if self.namespace is not None:
            os.close(self.namespace)
            self.namespace = None

    def run(self, steps: Sequence[Step]) -> list[Response]:
        """Send all steps at once; raise NetlinkError for the first that failed, after all were processed."""
        answers = self.exchange(steps)
        for step, answer in zip(steps, answers, strict=True):
            if answer.errno:
                raise NetlinkError(step, answer)
        return answers

    def subscribe(self, group: int) -> None:
        """Subscribe to a multicast group, for `notifications`."""
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)

    @contextmanager
    def subscribed(self, group: int) -> Iterator[None]:
        """Subscribe to a multicast group during the block, for `wait_for_notification`."""
        self.subscribe(group)
        try:
            yield
        finally:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, group)
            self._drain()

    def _drain(self) -> None:
        """Discard unread notifications, or the next block would take them for its own."""
        with suppress(BlockingIOError):
            while True:
                self._socket.recv_into(_received.buffer, 0, _MSG_DONTWAIT)
        self._notifications.clear()

    def wait_for_notification(self, wanted: Callable[[Message], bool]) -> None:
        """Return as soon as a notification is `wanted`; it may have arrived before this call.

        Raises TimeoutError after 30 s, even while other notifications keep arriving, as they do in a storm of pods.
        """
        deadline = time.monotonic() + _NEWS_SECONDS
        while time.monotonic() < deadline:
            notifications, self._notifications = self._notifications, []
            if any(map(wanted, notifications)):
                return
            self._settle(self._sequence + 1, [])
        raise TimeoutError(errno.ETIMEDOUT, "the kernel did not tell that an address can be used")

    def notifications(self) -> list[Message]:
        """Return the notifications that come next, on a socket that asks nothing, all that are there by then.

        None when 30 s bring none. Raise OSError with ENOBUFS when more came than the receive buffer has room for, and
        were lost.
        """
        found: list[Message] = []
        with suppress(TimeoutError):
            found += self._messages(self._receive())
            for _ in range(_AT_ONCE):  # and no more, should others be faster than we are
                found += self._messages(self._receive(_MSG_DONTWAIT))
        return found

    def _messages(self, size: int) -> Iterator[Message]:
        # Their numbers are those of the messages that caused them, which other programs have sent.
        offset, buffer = 0, _received.buffer
        while offset + _HEADER <= size:
            length, kind, *_ = HEADER.unpack_from(buffer, offset)
            if length < _HEADER:
                return
            yield Message(kind, buffer[offset + _HEADER : offset + length])
            offset += length + 3 & ~3

    def ask(self, step: Step) -> list[Message]:
        """Send one request and return the messages of its response; raise NetlinkError when it is refused."""
        return self.run([step])[0].messages

    def dump(
        self, step: Step, *, allow_interrupted: bool = False, only: Callable[[bytes], bool] | None = None
    ) -> list[Message]:
        """Dump a table, or `only` the messages that pass; an interrupted dump (NLM_F_DUMP_INTR) is repeated.

        Where links come and go all the time every dump is interrupted. With `allow_interrupted` the union of all tries
        is returned then, in which entries that came or went meanwhile may be missing or left over; without,
        NetlinkError is raised. What was seen several times is returned once, where it was seen last.
        """
        seen: dict[bytes, Message] = {}
        self._only = only
        try:
            for _ in range(_DUMP_TRIES):
                answer = self.exchange([step])[0]
                if answer.errno != errno.EINTR:
                    break
                for part in answer.messages:
                    seen.pop(part.body, None)
                    seen[part.body] = part
        finally:
            self._only = None
        if answer.errno == errno.EINTR and allow_interrupted:
            return list(seen.values())
        if answer.errno:
            raise NetlinkError(step, answer)
        return answer.messages

    def _receive(self, flags: int = 0) -> int:
        """Receive once into the thread's buffer, and return the size."""
        try:
            # With MSG_TRUNC it is the message's own size, also where that is more than the buffer has (recv(2)).
            size = self._socket.recv_into(_received.buffer, 0, _MSG_TRUNC | flags)
        except BlockingIOError as error:
            raise TimeoutError(errno.ETIMEDOUT, "the kernel did not answer a netlink message") from error
        if size > _BUFFER:
            raise OSError(errno.EMSGSIZE, f"the kernel sent a netlink message of {size} bytes")
        return size

    def exchange(self, steps: Sequence[Step]) -> list[Response]:
        """Send all steps and return each one's response, failed or not; only the last may be a dump.

        They are sent in slices, since the responses to more would not fit into the socket's receive buffer.
        """
        if len(steps) <= _AT_ONCE:
            return self._exchange(steps) if steps else []
        slices = (steps[start : start + _AT_ONCE] for start in range(0, len(steps), _AT_ONCE))
        return [answer for part in slices for answer in self._exchange(part)]

    def transact(self, steps: Sequence[Step]) -> list[Response]:
        """Send steps that are one transaction of nf_tables, and return each one's answer.

        If the kernel refuses the transaction as such, it acknowledges only its beginning (nfnetlink_rcv_skb_batch).
        """
        answers = self._exchange(steps, ended_by=lambda answers: bool(answers[0].errno))
        self._notifications.clear()  # with NLM_F_ECHO it also repeats what was changed
        return answers

    def _exchange(
        self, steps: Sequence[Step], ended_by: Callable[[list[Response]], bool] = lambda _: False
    ) -> list[Response]:
        first, answers = self._sequence + 1, [_DONE] * len(steps)
        self._sequence += len(steps)
        # by its type: isinstance asks an abstract class's metaclass, which takes 2 us at each exchange
        self._socket.send(steps.numbered(first) if type(steps) is Batch else joined(steps, first))
        while not self._settle(first, answers) and not ended_by(answers):
            pass
        return answers

    def _settle(self, first: int, answers: list[Response]) -> bool:
        """Receive once and match responses, numbered from `first`; return whether the last one is complete.

        An older number is left from an exchange that was given up. A message without one is a notification, and so is
        one with another socket's port: port and number are those of the request that caused it, whichever program's
        that was, if it had NLM_F_ECHO, as those have that make links (rtmsg_ifinfo in net/core/rtnetlink.c).
        """
        size, offset, buffer, ended = self._receive(), 0, _received.buffer, False
        while offset + _HEADER <= size:
            length, kind, flags, sequence, port = HEADER.unpack_from(buffer, offset)
            if length < _HEADER:
                break
            start, end, index = offset + _HEADER, offset + length, sequence - first
            offset = end + 3 & ~3
            if not sequence or port != self._port:
                self._notifications.append(Message(kind, buffer[start:end]))
            elif 0 <= index < len(answers):
                ended |= index == len(answers) - 1 and kind in _LAST
                if kind != NLMSG_ERROR or _ERRNO.unpack_from(buffer, start)[0]:
                    if (answer := answers[index]) is _DONE:
                        answer = answers[index] = Response()
                    _take(answer, kind, flags=flags, body=buffer[start:end], only=self._only)
        return ended


def _take(answer: Response, kind: int, *, flags: int, body: bytes, only: Callable[[bytes], bool] | None) -> None:
    """Add a message to a response, unless `only` rejects it."""
    if flags & NLM_F_DUMP_INTR:
        answer.errno = errno.EINTR
    if kind not in _LAST:
        if only is None or only(body):
            answer.messages.append(Message(kind, body))
        return
    code = -_ERRNO.unpack_from(body)[0] if len(body) >= _ERRNO.size else 0  # negated; also at a dump's end
    answer.errno = code or answer.errno
    if kind == NLMSG_ERROR and flags & NLM_F_ACK_TLVS:
        # the failed message's header is repeated, and its body too unless the kernel capped it
        length = HEADER.unpack_from(body, 4)[0] if not flags & NLM_F_CAPPED else _HEADER
        words = attributes(body, 4 + (length + 3 & ~3)).get(NLMSGERR_ATTR_MSG, b"")
        answer.extack = words.rstrip(b"\0").decode("utf-8", "replace")
