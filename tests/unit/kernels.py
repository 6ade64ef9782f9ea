"""Stand-ins for the kernel's end of a netlink socket: one for bytes, one for questions."""

import errno
import socket
import struct
from collections.abc import Callable, Mapping, Sequence

from slash80.netlink.codec import Message, NetlinkError, Response, Step
from slash80.netlink.socket import Socket

HEADER = struct.Struct("=IHHII")
Reply = Callable[[list[int]], list[bytes]]


PORT = 77  # of the socket, as the kernel repeats it in each answer


def packet(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Return one message as the kernel sends it, padded."""
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, PORT) + body + bytes(-len(body) % 4)


def subsystem(step: Step) -> int:
    """Return the subsystem of nfnetlink that a message is for: the upper byte of its type."""
    return int(HEADER.unpack_from(step.message)[1]) >> 8


class Wire:
    """Takes the place of the operating system's socket: records what is sent, and answers each send with datagrams."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self._datagrams: list[bytes] = []
        self.sent: list[bytes] = []
        self.closed = False

    def tell(self, *bodies: bytes) -> None:
        """Have notifications to read, which have no number."""
        self._datagrams += [packet(20, 0, 0, body) for body in bodies]

    def send(self, data: bytes) -> None:
        """Take messages, and prepare the answer to their sequence numbers."""
        self.sent.append(data)
        self._datagrams += self._replies.pop(0)([head[3] for head, _ in self.messages()])

    def recv_into(self, buffer: bytearray, size: int, flags: int) -> int:
        """Return the next datagram; a further one would never come."""
        if flags & socket.MSG_DONTWAIT and not self._datagrams:
            raise BlockingIOError
        datagram = self._datagrams.pop(0)
        buffer[: len(datagram)] = datagram
        return len(datagram)

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def messages(self) -> list[tuple[tuple[int, ...], bytes]]:
        """Take the last send apart: header and body of each message."""
        data, found = self.sent[-1], []
        while data:
            head = HEADER.unpack_from(data)
            found.append((head, data[HEADER.size : head[0]]))
            data = data[head[0] + 3 & ~3 :]
        return found


def connected(wire: Wire) -> Socket:
    """Return a socket whose other end is the wire."""
    made = object.__new__(Socket)
    made._socket, made._sequence, made._only = wire, 0, None  # type: ignore[assignment]
    made._notifications, made._port = [], PORT
    return made


class Kernel(Socket):
    """Answers steps by their words: with an errno, or with bodies of messages; what it does not know is not there."""

    def __init__(self, answers: Mapping[str, int | list[bytes]]) -> None:
        self._answers = dict(answers)
        self.done: list[str] = []

    def exchange(self, steps: Sequence[Step]) -> list[Response]:
        """Answer each step."""
        self.done += [step.what for step in steps]
        found = [self._answers.get(step.what, errno.ENODEV) for step in steps]
        return [Response(f) if isinstance(f, int) else Response(0, "", [Message(0, body) for body in f]) for f in found]

    def dump(
        self, step: Step, *, allow_interrupted: bool = False, only: Callable[[bytes], bool] | None = None
    ) -> list[Message]:
        """Answer a dump, which nothing has disturbed; what is not known is an empty table."""
        found = self._answers.get(step.what, [])
        if isinstance(found, int):
            raise NetlinkError(step, Response(found))
        return [Message(0, body) for body in found if only is None or only(body)]

    def forget(self, question: str) -> None:
        """Have no answer to a question any more."""
        del self._answers[question]

    def close(self) -> None:
        """Have nothing to close."""
