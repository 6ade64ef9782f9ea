"""Who changes the table: what the kernel tells every program that asks (`nft monitor`)."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Generator

from slash80.firewall import messages
from slash80.netlink.constants import NETLINK_NETFILTER
from slash80.netlink.socket import Socket

UNKNOWN = ""
TOGETHER = 0.1  # seconds for which notifications are collected: every ADD brings some, and being woken costs 0.1 ms


class Monitor:
    """Follows the table of the network namespace in which it is made; for one thread at a time.

    The kernel multicasts what a commit has changed and then its generation, with the process that sent it
    (nf_tables_commit in net/netfilter/nf_tables_api.c).
    """

    def __init__(self, changes: Callable[[int, bytes], bool] = messages.changes_skeleton) -> None:
        """Begin to follow what `changes` picks of the notifications; raise OSError where the kernel does not let us."""
        self._changes = changes
        self._socket = Socket(NETLINK_NETFILTER)
        self._socket.subscribe(messages.NFNLGRP_NFTABLES)
        self.generation = 0  # up to which all was read, and yielded
        self.changed_at = 0  # the generation of what was yielded last; 0 where that is not known

    def close(self) -> None:
        """End."""
        self._socket.close()

    def changes(self) -> Generator[str]:
        """Yield the program that has changed the table's skeleton, for each commit that did; "" after 30 s without any.

        Elements of pods, which every ADD and DEL of ours changes, are left out. What is multicast faster than it is
        read is lost, and counts as a change. Raise OSError when nothing more can be received.
        """
        changed = lost = False
        while True:
            try:
                told = self._socket.notifications()
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                told, lost = [], True
            if not told:
                self.changed_at = 0
                yield UNKNOWN
            for part in told:
                if part.kind != messages.NEW_GENERATION:
                    changed = changed or self._changes(part.kind, part.body)
                    continue
                if changed:
                    # the generation of what was told first may be among what was lost, and this one is a later commit's
                    self.changed_at = 0 if lost else messages.generation_of(part.kind, part.body) or 0
                    yield UNKNOWN if lost else messages.author_of(part.body)
                changed = lost = False
                self.generation = messages.generation_of(part.kind, part.body) or self.generation
            time.sleep(TOGETHER)
