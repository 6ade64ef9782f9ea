"""What an ADD asks the controller: to have its pod's policies in force, which the ADD waits for at the very end."""

from __future__ import annotations

import math
import os
import socket
import time
from pathlib import Path

SOCKET_NAME = "policy.sock"
ANSWER = b"\n"
SECONDS = 1.0  # from the question on, that an ADD waits at most


class PolicyQuestion:
    """One question and its answer. Where no controller listens nothing is waited for."""

    def __init__(self, state_dir: Path) -> None:
        """Ask nothing yet."""
        self._folder = state_dir
        self._connection: socket.socket | None = None
        self._deadline = 0.0

    def close(self) -> None:
        """Wait no longer."""
        if self._connection:
            self._connection.close()

    def ask(self, host_ifname: str) -> None:
        """Ask, if there is a controller, and do not wait."""
        self._deadline = time.monotonic() + SECONDS
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._connect(connection)
            connection.send(f"{host_ifname}\n".encode())
        except OSError:  # none listens, or the line of those that wait to be accepted is full
            connection.close()
        else:
            self._connection = connection

    def _connect(self, connection: socket.socket) -> None:
        folder = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # a socket's address has 107 bytes, the way to the folder may have more
            connection.connect(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
        finally:
            os.close(folder)

    @property
    def asked(self) -> bool:
        """Whether there is a controller that may answer."""
        return self._connection is not None

    def answered(self, seconds: float = math.inf) -> bool:
        """Wait for the answer, so long at most and not beyond its time, and report whether it has come."""
        if not self._connection:
            return False
        try:
            self._connection.settimeout(max(min(self._deadline - time.monotonic(), seconds), 0.001))
            return self._connection.recv(1) == ANSWER
        except OSError:  # TimeoutError is one
            return False
