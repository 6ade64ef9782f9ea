"""A Unix socket that appears at its path when all is ready, and goes when it is closed."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path


class PublishedSocket:
    """A listener for this user alone. One that a killed process left at the path is replaced."""

    def __init__(self, path: Path) -> None:
        """Name the path; nothing is there yet."""
        self._path, self._inode = path, 0
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def open(self, backlog: int) -> None:
        """Listen, under a name that no client knows yet. Raise OSError when that cannot be."""
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            new = f"{self._path.name}.new"
            with suppress(FileNotFoundError):
                os.unlink(new, dir_fd=folder)
            # a socket's address has 107 bytes, the way to the folder may have more
            self.listener.bind(f"/proc/self/fd/{folder}/{new}")
            os.chmod(new, 0o600, dir_fd=folder)
            self.listener.listen(backlog)
        finally:
            os.close(folder)

    def publish(self) -> None:
        """Let the path appear: from now on clients may connect. Raise OSError when that cannot be."""
        self._path.with_name(f"{self._path.name}.new").rename(self._path)
        self._inode = self._path.stat().st_ino

    def is_published(self) -> bool:
        """Report whether clients find the listener at its path."""
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def close(self) -> None:
        """Let no further clients come, to whatever process; those that wait to be accepted still are."""
        if self.is_published():
            with suppress(FileNotFoundError):
                self._path.unlink()
        # refuses new ones, while those that wait in the backlog are still accepted (unix_accept in net/unix/af_unix.c)
        self.listener.shutdown(socket.SHUT_RD)
        self.listener.close()
