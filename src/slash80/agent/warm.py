"""What the agent keeps open between calls: netlink sockets for each thread, and one store for all of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slash80.cni.conf import RemovalConf
from slash80.errors import InvalidConfig
from slash80.firewall.installed import InstalledTable
from slash80.netlink import Socket
from slash80.node import Graveyard, Lately, Node, store_in
from slash80.store.locks import AttachmentLocks
from slash80.store.sqlite import SqliteStore
from slash80.wiring import netns


class WarmNode:
    """One state directory's node; `opened` is used by many threads at once, and each sees the node as its own.

    Store and locks are the same as every other process's, so that the engine may work beside the agent.
    """

    def __init__(self, state_dir: Path, graveyard: Graveyard) -> None:
        """Open nothing yet; `graveyard` hears when a removal has left something to delete."""
        self._state_dir, self._graveyard = state_dir, graveyard
        self._thread, self._lately = _Sockets(), Lately()
        self._by_timeout: dict[float, tuple[SqliteStore, AttachmentLocks]] = {}

    @contextmanager
    def opened(self, conf: RemovalConf) -> Iterator[Node]:
        """Give the node to one call; raise InvalidConfig for another state directory than the agent's."""
        if conf.state_dir != self._state_dir:
            raise InvalidConfig(
                f"stateDir is {conf.state_dir}, but the agent behind this socket serves {self._state_dir}; "
                "leave `socket` out, or give both of the same agent"
            )
        host, table = self._thread.get()
        try:
            store, locks = self._waiting(conf.lock_timeout)
            yield Node(host, table, store=store, locks=locks, lately=self._lately, graveyard=self._graveyard)
        except BaseException:
            # whatever went wrong may have left half an answer in a socket
            self._thread.close()
            raise

    def _waiting(self, timeout: float) -> tuple[SqliteStore, AttachmentLocks]:
        """Give store and locks that wait so long; there are as many as networks differ in it, and few."""
        found = self._by_timeout.get(timeout)
        if found is None:
            made = (store_in(self._state_dir, timeout), AttachmentLocks(self._state_dir, timeout))
            found = self._by_timeout.setdefault(timeout, made)  # whoever came first has his kept
        return found


class _Sockets(threading.local):
    """A thread's own netlink sockets."""

    host: Socket | None = None
    table: InstalledTable | None = None

    def get(self) -> tuple[Socket, InstalledTable]:
        self.host, self.table = self.host or netns.socket_here(), self.table or InstalledTable()
        return self.host, self.table

    def close(self) -> None:
        for kept in (self.host, self.table):
            if kept:
                kept.close()
        self.host = self.table = None
