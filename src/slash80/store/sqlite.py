"""The store in SQLite, under a directory on tmpfs: gone with the boot, as the pods' network namespaces are.

The journal is TRUNCATE and nothing is synced: a kill leaves a journal that the next opening rolls back, and a crash of
the node takes file and pods alike. Never WAL: with a replaced file two processes then commit the same key. A file that
is lost or damaged is created again and filled from the kernel, where every link carries its identity.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial, wraps
from ipaddress import ip_address
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from slash80.addressing.attachment import Assignment, Attachment, Key, State
from slash80.addressing.family import Address
from slash80.addressing.pool import Range
from slash80.errors import CniError, IoFailure, TryAgain
from slash80.store import rows
from slash80.store.api import Register, Reservation, StoreReopened, T
from slash80.store.ledger import SqliteLedger
from slash80.store.locks import FileLock, private, unusable

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SOON = 0.1  # seconds of a wait that are not worth a statement

P = ParamSpec("P")
R = TypeVar("R")


def _reopening(method: Callable[Concatenate[SqliteStore, P], R]) -> Callable[Concatenate[SqliteStore, P], R]:
    """Try a method once more when a connection fails that was opened by an earlier call.

    The file may have been emptied or damaged under it, which opening it again detects and repairs.
    """

    @wraps(method)
    def tried(store: SqliteStore, /, *args: P.args, **kwargs: P.kwargs) -> R:
        kept = store.is_open
        try:
            return method(store, *args, **kwargs)
        except IoFailure as error:
            if not kept or not isinstance(error.__cause__, sqlite3.Error):
                raise
        return method(store, *args, **kwargs)

    return tried


class SqliteStore:
    """A store that several processes and threads use at once.

    `survey` reads the attachments back from the kernel; it is asked when the file is new. `clock` gives the boottime in
    seconds. Every method raises TryAgain when our lock or the file's own stays busy for `timeout` seconds, IoFailure
    when the disk is full or not writable.
    """

    def __init__(
        self,
        directory: Path,
        *,
        survey: Callable[[], Iterable[Attachment]],
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        """Name the directory, made when first needed; nothing is opened yet."""
        self._directory, self._path, self._lock = directory, directory / "state.db", FileLock(directory / "lock")
        self._survey, self._timeout, self._clock = survey, timeout, clock
        self._threads, self._own = threading.Lock(), threading.local()
        self._reached: dict[Range, int | None] = {}
        self._connection: sqlite3.Connection | None = None
        self._patience = timeout  # for which the open connection waits for another program
        self._opened: tuple[int, int] | None = None
        self._closings = 0
        self._secret: bytes | None = None  # of the open file, once it was needed

    @_reopening
    def get(self, host_ifname: str) -> Attachment | None:
        """Return the attachment with that host end, or None."""
        with self._opened_under_lock() as connection:
            return rows.get(connection, host_ifname)

    @_reopening
    def attachments(self, of: Key | None = None) -> list[Attachment]:
        """Return all attachments, oldest first; or the key's own and those of the same container."""
        with self._opened_under_lock() as connection:
            return rows.of_container(connection, of) if of else rows.found(connection)

    @_reopening
    def held(self, by: Sequence[Attachment]) -> list[Address]:
        """Return the addresses that these attachments hold, except of those that were added again meanwhile."""
        query = (
            "SELECT packed FROM address JOIN attachment ON holder = host_ifname WHERE host_ifname = ? AND since = ? "
            "ORDER BY family"
        )
        with self._transaction() as connection:
            found = [row for one in by for row in connection.execute(query, [one.host_ifname, one.since])]
        return [ip_address(packed) for (packed,) in found]

    @_reopening
    def terminating(self) -> list[Attachment]:
        """Return the attachments that are terminating, oldest first."""
        with self._opened_under_lock() as connection:
            return rows.found(connection, "WHERE state = ?", [State.TERMINATING.value])

    @contextmanager
    def reservation(self, draft: Attachment) -> Iterator[Reservation]:
        """Open the transaction in which addresses are chosen for `draft` and recorded with it."""
        was_open = self.is_open
        held: list[tuple[Attachment, tuple[int, int] | None, int]] = []

        def hold(assignment: Assignment) -> Attachment:
            kept = replace(draft, assignment=assignment, since=self._clock())
            rows.insert(connection, kept)
            if assignment.early:
                counted = "UPDATE setting SET value = value + ? WHERE name = 'early_reuse'"
                connection.execute(counted, [assignment.early])
            # here, since afterwards another thread may have opened another file
            held.append((kept, self._opened, self._closings))
            return kept

        try:
            with self._transaction() as connection:
                if rows.version(connection) > rows.SCHEMA_VERSION:
                    raise TryAgain(
                        f"{self._path} was written by a newer slash80; wait until this node's upgrade is finished"
                    )
                self._secret = self._secret or rows.secret(connection)
                known = rows.of_container(connection, draft.key)
                opened = partial(rows.opened, connection)
                yield Reservation(SqliteLedger(connection, self._reached), self._secret, known, opened, hold)
        except IoFailure as error:
            if was_open and isinstance(error.__cause__, sqlite3.Error):
                raise StoreReopened(error.msg, error.details) from error
            raise
        if held:
            self._own.reserved = held[0]

    @_reopening
    def keep(self, attachment: Attachment) -> None:
        """Keep an attachment as it is.

        The one that this thread has just reserved is kept already if the file is still the same: a file that takes its
        place is there before the attachments are read back from the kernel, so what was complete by now is among them.
        Only while the file is open no other one gets its number (ext4 gives it to the next that is made).
        """
        if getattr(self._own, "reserved", None) == (attachment, _identity(self._path), self._closings):
            return
        with self._transaction() as connection:
            rows.insert(connection, attachment)

    @_reopening
    def release(self, host_ifname: str, *, rest: bool = True) -> None:
        """Forget an attachment and let its addresses rest."""
        now, self._own.reserved = self._clock(), None
        with self._transaction() as connection:
            rows.let_go(connection, host_ifname, now if rest else None)
            rows.forget_rested(connection, now)

    @_reopening
    def mark_terminating(self, host_ifname: str) -> Attachment | None:
        """Mark an attachment as terminating, and return it if it has openings."""
        with self._transaction() as connection:
            return rows.mark(connection, host_ifname, State.TERMINATING)

    @_reopening
    def allow_expose(self, changed: Sequence[Attachment]) -> None:
        """Keep the openings of attachments, in one transaction."""
        with self._transaction() as connection:
            for one in changed:
                rows.open_ports(connection, one)

    @_reopening
    def forget(self, dead: Sequence[Attachment]) -> None:
        """Release those that are still terminating, in one transaction."""
        now = self._clock()
        same = "SELECT 1 FROM attachment WHERE host_ifname = ? AND since = ? AND state = ?"
        with self._transaction() as connection:
            for attachment in dead:
                values = [attachment.host_ifname, attachment.since, State.TERMINATING.value]
                if connection.execute(same, values).fetchone():
                    rows.let_go(connection, attachment.host_ifname, now)
            rows.forget_rested(connection, now)

    @_reopening
    def read(self, question: Callable[[Register], T]) -> T:
        """Ask the ledger."""
        with self._transaction() as connection:
            return question(SqliteLedger(connection, self._reached))

    @property
    def exists(self) -> bool:
        """Report whether there is a file, so that something may be kept in it."""
        return _identity(self._path) is not None

    @property
    def is_open(self) -> bool:
        """Report whether an earlier call has left the file open."""
        return self._connection is not None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write: commit, or roll back when anything is raised."""
        with self._opened_under_lock() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def _opened_under_lock(self) -> Iterator[sqlite3.Connection]:
        """Hold the lock, and open the file again if it is not the same as before.

        One statement that reads needs no more: with a transaction around it, it costs twice as much.
        """
        deadline = time.monotonic() + self._timeout
        if not self._threads.acquire(timeout=self._timeout):
            raise TryAgain(f"other calls have used {self._path} for {self._timeout:g} s; the runtime tries it again")
        try:
            private(self._directory)
            with self._lock.held(self._timeout):
                yield self._current(deadline)
        except sqlite3.Error as error:
            self.close()
            raise self._told(error) from error
        except OSError as error:
            raise unusable(self._directory, error) from error
        finally:
            self._threads.release()

    def _told(self, error: sqlite3.Error) -> CniError:
        """Return the CNI error for a failure of SQLite, with the next step."""
        if error.sqlite_errorcode == sqlite3.SQLITE_READONLY_DBMOVED:
            return TryAgain(f"{self._path} was removed while it was in use; the next call creates it again")
        if error.sqlite_errorcode & 0xFF in _LOCKED:
            msg = f"another program, such as a backup or sqlite3, has kept {self._path} locked for {self._timeout:g} s"
            return TryAgain(f"{msg}; the runtime tries it again, and `fuser -v {self._path}` names the program")
        return IoFailure(f"{self._path}: {error}; check the space and the permissions of the state directory")

    def _current(self, deadline: float) -> sqlite3.Connection:
        """Return the open connection, or a new one if the path now leads to another file or does not exist.

        It waits for another program's lock as long as is left until the deadline.
        """
        left = max(0.0, deadline - time.monotonic())
        patience = self._timeout if self._timeout - left < _SOON else left
        if self._connection and self._opened and self._opened == _identity(self._path):
            if patience != self._patience:
                self._connection.execute(f"PRAGMA busy_timeout = {patience * 1000:.0f}")
                self._patience = patience
            return self._connection
        self.close()
        self._patience = patience
        try:
            connection = self._open()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _DAMAGED:
                raise
            self.close()
            self._path.replace(self._path.with_suffix(".damaged"))
            self._path.with_name("state.db-journal").unlink(missing_ok=True)
            connection = self._open()
        self._opened = _identity(self._path)
        return connection

    def _open(self) -> sqlite3.Connection:
        """Open the file, check it, and fill it if it is new; raise DatabaseError when it is damaged."""
        with suppress(FileNotFoundError):
            if not self._path.stat().st_size:
                self._path.unlink()  # emptied, or never filled: what takes its place must be another file, see `keep`
        # Our own locks keep our calls apart; this wait is for other programs, as a backup
        connection = sqlite3.connect(self._path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            "PRAGMA cache_size = -512"
        )  # KiB: the file is in memory already, and an agent stays for long
        if (verdict := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            error = sqlite3.DatabaseError(verdict)
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        if rows.version(connection) == 0:
            self._fill(connection)
        else:
            rows.add_columns(connection)
        return connection

    def _fill(self, connection: sqlite3.Connection) -> None:
        """Make the tables and read the attachments back from the kernel, in one transaction."""
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in filter(str.strip, rows.SCHEMA.split(";")):
                connection.execute(statement)
            secret = secrets.token_bytes(16)
            connection.execute("INSERT INTO setting VALUES ('secret', ?), ('early_reuse', 0)", [secret])
            for attachment in self._survey():
                rows.insert(connection, attachment)
            connection.execute(f"PRAGMA user_version = {rows.SCHEMA_VERSION}")

    def remove(self) -> None:
        """Remove the file and what lies beside it, while no other call writes to it."""
        with self._lock.held(self._timeout):
            self.close()
            for path in self._directory.glob(f"{self._path.name}*"):
                path.unlink()

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._connection:
            self._connection.close()
        self._connection = self._opened = self._secret = None
        self._closings += 1


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 -- pathlib's takes three times as long, and each call comes here
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
