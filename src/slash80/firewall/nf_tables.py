"""The conversation with nf_tables, whichever table it is about: the socket, and what every answer means."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import TypeVar

from slash80.errors import FirewallUnusable
from slash80.firewall import messages
from slash80.netlink.codec import Message, NetlinkError, Response, Step
from slash80.netlink.constants import NETLINK_NETFILTER
from slash80.netlink.socket import Socket

T = TypeVar("T")


class NfTables:
    """The nf_tables of the network namespace in which they are first asked; for one thread.

    Every method raises FirewallUnusable when the kernel has none.
    """

    def __init__(self) -> None:
        """Open nothing yet."""
        self._socket: Socket | None = None

    def open(self) -> None:
        """Open the socket that the first question would open."""
        self._use(lambda _: None)

    def close(self) -> None:
        """Close the socket; the next question opens another."""
        if self._socket:
            self._socket.close()
        self._socket = None

    def exchange(self, steps: Sequence[Step]) -> list[Response]:
        """Ask, and return an answer to each question."""
        return self._use(lambda socket: socket.exchange(steps))

    def transact(self, steps: Sequence[Step]) -> list[Response]:
        """Do what is one transaction, and return an answer to each step."""
        return self._use(lambda socket: socket.transact(steps))

    def dump(self, step: Step) -> list[Message] | None:
        """Ask for a listing; return None where there is nothing to list."""
        try:
            return self._use(lambda socket: socket.dump(step))
        except NetlinkError as error:
            if error.errno == errno.ENOENT:
                return None
            raise FirewallUnusable(f"{error.strerror}; run as root") from error

    def generation(self) -> int:
        """Return the generation of the kernel's rules: how many commits there were, to whatever table."""
        (answer,) = self.exchange([messages.GET_GENERATION])
        if generation := begun(answer):
            return generation
        raise FirewallUnusable(f"the kernel refuses to tell the generation of its rules: {reason(answer)}; run as root")

    def _use(self, use: Callable[[Socket], T]) -> T:
        try:
            self._socket = self._socket or Socket(NETLINK_NETFILTER)
            return use(self._socket)
        except NetlinkError:
            raise
        except OSError as error:
            self.close()
            msg = f"the kernel's nf_tables cannot be asked: {error.strerror}; load or enable nf_tables on the node"
            raise FirewallUnusable(msg) from error


def begun(answer: Response) -> int:
    """Return the generation of which an answer tells; 0 where it tells of none."""
    found = (messages.generation_of(part.kind, part.body) for part in answer.messages)
    return next(filter(None, found), 0)


def is_there(answer: Response, table: str) -> bool:
    """Report whether there is what was asked for of a table; raise FirewallUnusable when the kernel refuses to tell."""
    if answer.errno not in {0, errno.ENOENT}:
        raise FirewallUnusable(f"the kernel refuses to show table inet {table}: {reason(answer)}; run as root")
    return not answer.errno


def reason(answer: Response) -> str:
    """Return why the kernel refuses a step, in its words."""
    return f"{errno.errorcode.get(answer.errno, 'no answer')} {answer.extack}".strip()
