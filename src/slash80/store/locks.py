"""Locks between processes and threads, on files of our own, with a bounded wait.

SQLite's own locks are not enough: they are dropped when the process opens and closes the file elsewhere, a replaced
file gives two processes two databases, and they are polled. The kernel drops ours when their holder dies, however it
dies, so an attachment that is recorded, incomplete, and whose lock is free was begun by a call that died.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from slash80.addressing.attachment import lock_number_of
from slash80.errors import IoFailure, TryAgain

_OWN_STATE_DIR = "set stateDir to a directory of the calling user, or call as root"
_ATTEMPTS, _PAUSE = 6, 0.0001
_FLOCK = struct.Struct("hhqqi")
_ALL = range(0)  # bytes of a file: none stands for all that there may ever be, as in fcntl(2)


class Absent(IoFailure):
    """A file or directory is not there, and was not to be made or could not be."""

    def __init__(self, path: Path) -> None:
        """Name it."""
        super().__init__(f"{path} is not there: nothing was attached yet, or all was removed; the next ADD makes it")


def private(directory: Path, *, make: bool = True) -> Path:
    """Make a directory that only its owner can use; raise IoFailure for another user's and one that others may write.

    Raise Absent instead of making it if it is not to be made.
    """
    try:
        try:
            found = os.stat(directory)  # noqa: PTH116 -- pathlib's takes three times as long, and each call comes here
        except FileNotFoundError as error:
            if not make:
                raise Absent(directory) from error
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = directory.stat()
    except OSError as error:
        raise unusable(directory, error) from error
    if found.st_uid != os.geteuid():
        raise IoFailure(f"{directory} belongs to another user; {_OWN_STATE_DIR}")
    if found.st_mode & 0o022:
        msg = f"{directory} is writable by other users; run chmod 0700 on it"
        raise IoFailure(msg)
    return directory


def unusable(path: Path, error: OSError) -> IoFailure:
    """Return the error for a state directory that cannot be used, with the next step."""
    forbidden = error.errno in {errno.EACCES, errno.EPERM}
    advice = _OWN_STATE_DIR if forbidden else "check the space and the permissions of the state directory"
    return IoFailure(f"{path}: {error.strerror}; {advice}")


class FileLock:
    """An exclusive lock on a file that is made when needed, unless it is not to be made."""

    def __init__(self, path: Path, part: range | None = None, *, make: bool = True) -> None:
        """Name the file, and the bytes of it when only those are locked; nothing is opened yet."""
        self.path, self._part = path, part
        # For writing, or F_WRLCK is refused with EBADF (fcntl(2)).
        self._flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0)

    def held(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the lock; raise TryAgain after `timeout` seconds, IoFailure when the file cannot be made.

        Raise Absent when it is not there and not to be made.
        """
        return _Held(self, timeout)

    @contextmanager
    def tried(self) -> Iterator[bool]:
        """Hold the lock if it is free; return whether it was."""
        descriptor = self.acquire(0)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def acquire(self, timeout: float) -> int | None:
        """Lock; return the descriptor whose closing unlocks, or None when it stayed busy. Raises what `held` does."""
        while True:
            try:
                descriptor = os.open(self.path, self._flags, 0o600)
            except FileNotFoundError as error:
                raise Absent(self.path) from error
            except OSError as error:
                raise unusable(self.path, error) from error
            if not _locked(descriptor, self._part, timeout):
                return None
            if _is_file(descriptor, self.path):
                return descriptor
            os.close(
                descriptor
            )  # the file was removed or replaced while we waited: a lock on it excludes no other process


class _Held:
    """The block in which a lock is held; made by contextmanager it would cost 3 us more, three times in an ADD."""

    def __init__(self, lock: FileLock, timeout: float) -> None:
        self._lock, self._timeout = lock, timeout

    def __enter__(self) -> None:
        descriptor = self._lock.acquire(self._timeout)
        if descriptor is None:
            msg = f"another call has held the lock {self._lock.path} for {self._timeout:g} s"
            raise TryAgain(f"{msg}; it is tried again by the runtime")
        self._descriptor = descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


class AttachmentLocks:
    """A lock for each attachment, which each verb holds to its end: one byte of one file, where its hash says.

    With a file for each of a few hundred hashes, as many pods at once meet on some of them, and wait for each other's
    whole ADD. Open file description locks (fcntl(2)) are not lost when the process closes the file elsewhere. Several
    threads may use this, each for one call at a time.
    """

    def __init__(self, state_dir: Path, timeout: float) -> None:
        """Keep the locks in `state_dir`/locks, made when needed; waits are bounded by `timeout` seconds."""
        self.state_dir, self._folder, self._timeout = state_dir, state_dir / "locks", timeout
        self._paths = {name: self._folder / name for name in ("attachments", "firewall")}
        self._thread = threading.local()

    def firewall_held(self) -> AbstractContextManager[None]:
        """Hold the lock under which the firewall is changed, skeleton and elements."""
        return self._named("firewall").held(self._timeout)

    def all_held(self) -> AbstractContextManager[None]:
        """Hold the locks of all attachments; raise TryAgain when one stays busy."""
        return self._named("attachments", _ALL).held(self._timeout)

    @contextmanager
    def held(self, host_ifname: str, *, make: bool = True) -> Iterator[None]:
        """Hold the lock of the attachment with that host end; raise TryAgain when it stays busy.

        Raise Absent when no attachment was ever made here, and the locks are not to be made.
        """
        number = lock_number_of(host_ifname)
        with self._named("attachments", _byte(number), make=make).held(self._timeout):
            self._thread.own = number
            try:
                yield
            finally:
                self._thread.own = None

    @contextmanager
    def tried(self, host_ifname: str) -> Iterator[bool]:
        """Hold that lock if it is free; return whether it was, or whether this call holds it already."""
        number = lock_number_of(host_ifname)
        if number == getattr(self._thread, "own", None):
            yield True
            return
        with self._named("attachments", _byte(number)).tried() as free:
            yield free

    def _named(self, name: str, part: range | None = None, *, make: bool = True) -> FileLock:
        private(self.state_dir, make=make)
        private(self._folder, make=make)
        return FileLock(self._paths[name], part, make=make)


def _byte(number: int) -> range:
    return range(number, number + 1)


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))  # noqa: PTH116 -- as above
    except FileNotFoundError:
        return False


def _lock(descriptor: int, part: range | None, *, wait: bool) -> bool:
    """Lock the file, or some bytes of it, and report whether that was done; without `wait` it may be busy.

    Both kinds belong to the open file and go when its last descriptor does.
    """
    try:
        if part is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            return True
        # struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid. The last must be 0 for a lock of an
        # open file description, or the kernel answers EINVAL (fcntl_setlk in fs/locks.c).
        flock = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, part.start, part.stop - part.start, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, flock)
    except BlockingIOError:
        return False
    return True


def _locked(descriptor: int, part: range | None, timeout: float) -> bool:
    """Lock within `timeout` seconds; on failure the descriptor is, or will be, closed.

    A blocking lock is served in turn and wakes at once, which polling is not and does not; but it knows no time limit,
    and signals reach one thread only. So it waits in a thread of its own, which closes the descriptor if it comes late.
    That costs 0.1 ms and the store's lock is held for 0.2, so it is tried a few times before.
    """
    try:
        for attempt in range(_ATTEMPTS if timeout > 0 else 1):
            if attempt:
                time.sleep(_PAUSE)
            if _lock(descriptor, part, wait=False):
                return True
    except OSError:
        os.close(descriptor)
        raise
    if timeout <= 0:
        os.close(descriptor)
        return False
    try:
        waiter = _Waiter(descriptor, part)
    except RuntimeError as error:  # of Thread.start, as with RLIMIT_NPROC
        os.close(descriptor)
        msg = "no thread can be started that waits for a lock; look at the node's memory and its runtime's limits"
        raise TryAgain(msg) from error
    return waiter.wait(timeout)


class _Waiter:
    """One blocking lock in a daemon thread; at a timeout both race for the descriptor, and the first decision wins."""

    def __init__(self, descriptor: int, part: range | None) -> None:
        self._descriptor, self._part = descriptor, part
        self._decided = threading.Lock()
        self._abandoned = False
        self._acquired = threading.Event()
        threading.Thread(target=self._block, daemon=True).start()

    def wait(self, timeout: float) -> bool:
        if self._acquired.wait(timeout):
            return True
        with self._decided:
            self._abandoned = not self._acquired.is_set()
            return not self._abandoned

    def _block(self) -> None:
        _lock(self._descriptor, self._part, wait=True)
        with self._decided:
            if self._abandoned:
                os.close(self._descriptor)
            else:
                self._acquired.set()
