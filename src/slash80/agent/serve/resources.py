"""What the agent keeps open between calls: netlink sockets for each thread, and one store for all of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slash80.errors import InvalidConfig
from slash80.firewall.installed import InstalledTable, VerifiedGeneration
from slash80.host.cache import TtlCache
from slash80.host.context import DeferredDeletion, Host, OfAgent, store_in
from slash80.netlink.socket import Socket
from slash80.settings.network import RemovalConf
from slash80.store.locks import AttachmentLocks
from slash80.store.sqlite import SqliteStore
from slash80.wiring import netns


class HostPool:
    """One state directory's node; `opened` is used by many threads at once, and each sees the node as its own.

    Store and locks are the same as every other process's, so that the engine may work beside the agent.
    """

    def __init__(self, state_dir: Path, deferred_deletion: DeferredDeletion) -> None:
        """Open nothing yet; `deferred_deletion` is told of each link that a DEL leaves to delete."""
        self._state_dir = state_dir
        self._of_agent = OfAgent(deferred_deletion)  # one for all processes that are forked later
        self._thread, self._cache = _Sockets(VerifiedGeneration()), TtlCache()
        self._by_timeout: dict[float, tuple[SqliteStore, AttachmentLocks]] = {}

    @contextmanager
    def opened(self, conf: RemovalConf) -> Iterator[Host]:
        """Return the node to one call; raise InvalidConfig for another state directory than the agent's."""
        if conf.state_dir != self._state_dir:
            raise InvalidConfig(
                f"stateDir is {conf.state_dir}, but the agent behind this socket serves {self._state_dir}; "
                "leave `socket` out, or give both of the same agent"
            )
        with self._thread as (netlink, table):
            store, locks = self._waiting(conf.lock_timeout)
            yield Host(netlink, table, store=store, locks=locks, cache=self._cache, of_agent=self._of_agent)

    def close(self) -> None:
        """Close the store, and this thread's sockets."""
        self._thread.close()
        for store, _ in self._by_timeout.values():
            store.close()
        self._by_timeout.clear()

    def _waiting(self, timeout: float) -> tuple[SqliteStore, AttachmentLocks]:
        """Return store and locks that wait so long; there are as many as networks differ in it, and few."""
        found = self._by_timeout.get(timeout)
        if found is None:
            made = (store_in(self._state_dir, timeout), AttachmentLocks(self._state_dir, timeout))
            found = self._by_timeout.setdefault(timeout, made)  # the first thread to make one has it kept
        return found


class _Sockets(threading.local):
    """A thread's own netlink sockets. After an error they are closed: half an answer may be left in them."""

    netlink: Socket | None = None
    table: InstalledTable | None = None

    def __init__(self, verified: VerifiedGeneration) -> None:
        self._verified = verified  # one for all threads, and for all processes that are forked later

    def __enter__(self) -> tuple[Socket, InstalledTable]:
        self.netlink, self.table = self.netlink or netns.socket_here(), self.table or InstalledTable(self._verified)
        return self.netlink, self.table

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.close()

    def close(self) -> None:
        """Close this thread's sockets; its next call opens others."""
        for kept in (self.netlink, self.table):
            if kept:
                kept.close()
        self.netlink = self.table = None
