"""What one call works with on its node: store, locks and a netlink socket, and how an attachment is taken away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from slash80.addressing.attachment import Attachment, Key
from slash80.cni.conf import RemovalConf
from slash80.errors import CniError, IoFailure
from slash80.moments import Moment, reach
from slash80.store.locks import AttachmentLocks
from slash80.store.sqlite import SqliteStore
from slash80.wiring import attach, live, netns, survey


class Node:
    """The node's state, for one call."""

    def __init__(self, conf: RemovalConf) -> None:
        """Open a netlink socket; the store and the locks are opened when they are used."""
        self.host = netns.socket_here()
        self.locks = AttachmentLocks(conf.state_dir, conf.lock_timeout)
        self.store = SqliteStore(conf.state_dir, survey=self._survey, timeout=conf.lock_timeout, clock=boottime)

    def __enter__(self) -> Self:
        """Use the node as a context."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the netlink socket and the store."""
        self.host.close()
        self.store.close()

    @contextmanager
    def removal_held(self, key: Key) -> Iterator[None]:
        """Hold an attachment's lock for a removal: a full or read-only disk must not keep a pod from being removed."""
        with ExitStack() as stack:
            with suppress(IoFailure):
                stack.enter_context(self.locks.held(key.host_ifname))
            yield

    def remove(self, host_ifname: str) -> None:
        """Delete the link, and only then let the addresses go; those rest, and a store that cannot be written waits.

        The row that stays behind then has no link, by which the next exhaustion or GC knows that it is dead.
        """
        attach.detach(self.host, host_ifname)
        reach(Moment.DETACHED)
        with suppress(IoFailure):
            self.store.release(host_ifname)
        reach(Moment.RELEASED)

    def is_dead(self, attachment: Attachment) -> bool:
        """Whether an attachment's link is gone, as when its network namespace was deleted."""
        with attach.translated():
            return live.link(self.host, attachment.host_ifname) is None

    def release_dead(self) -> int:
        """Release every attachment that has no link and that nobody is working on; tell how many."""
        released = 0
        for attachment in self.store.attachments():
            with self.locks.tried(attachment.host_ifname) as free:
                # asked again under the lock: it may have become another one since
                if free and self.store.get(attachment.host_ifname) == attachment and self.is_dead(attachment):
                    self.store.release(attachment.host_ifname)
                    released += 1
        return released

    def _survey(self) -> Iterator[Attachment]:
        """Read back the attachments that are complete; who is still making one keeps it himself when it is done."""
        return (replace(attachment, since=boottime()) for attachment in survey.attachments(self.host))


class UndoOnFailure:
    """Takes an attachment away when the block fails; should that fail too, the first error is still the one told."""

    def __init__(self, node: Node, host_ifname: str) -> None:
        """Name what to take away."""
        self._node, self._host_ifname = node, host_ifname

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Undo, unless all went well."""
        if value is None:
            return
        try:
            linked = attach.detach(self._node.host, self._host_ifname)
            self._node.store.release(self._host_ifname, rest=linked)
        except (CniError, OSError) as further:
            value.add_note(f"and undoing it failed as well: {further}; a DEL, a GC or the next ADD finishes that")


def boottime() -> float:
    """Seconds since the node booted, suspended or not: the clock of everything that is gone with the boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
