"""Agents that behave as they are told, and a launcher laid out beside an engine or none."""

import array
import os
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from slash80 import ipc

Behaviour = Callable[[socket.socket, "Call"], None]
ENVIRON = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "c0ffee",
    "CNI_NETNS": "/proc/self/ns/net",
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/opt/cni/bin",
}


@dataclass
class Call:
    """What came in with one connection."""

    request: bytes = b""
    descriptors: list[int] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """The request's environment."""
        return ipc.read(self.request)[0]

    @property
    def stdin(self) -> bytes:
        """The request's standard input."""
        return ipc.read(self.request)[1]


def receive(connection: socket.socket, call: Call, size: int = 1 << 16) -> bool:
    """Receive once; return whether there may be more."""
    data, messages, _, _ = connection.recvmsg(size, 64)
    for _, _, raw in messages:
        call.descriptors += array.array("i", raw)
    call.request += data
    return bool(data)


def answering(answer: bytes, *, early: bool = False) -> Behaviour:
    """Return an agent that takes the whole request, or nothing of it, and answers with these bytes."""

    def behave(connection: socket.socket, call: Call) -> None:
        while not early and receive(connection, call):
            pass
        connection.sendall(answer)

    return behave


@contextmanager
def agent(path: Path, behave: Behaviour) -> Iterator[list[Call]]:
    """Listen at the path and behave that way to each caller; the block gets the calls."""
    calls: list[Call] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, reachable(path) as address:
        listener.bind(address)
        listener.listen(16)

        def work() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                calls.append(call := Call())
                with connection:
                    try:
                        behave(connection, call)
                    except OSError:  # the launcher is gone, as it may
                        continue

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield calls
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink()
            for descriptor in (number for call in calls for number in call.descriptors):
                os.close(descriptor)


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Yield the path in a form that fits into a socket's address, however long it is."""
    folder = os.open(path.parent, os.O_PATH)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@dataclass
class Launcher:
    """The launcher in a folder of its own, with a state directory beside it."""

    program: Path
    state_dir: Path

    @property
    def socket(self) -> Path:
        """Where its agent listens."""
        return self.state_dir / ipc.SOCKET_NAME

    def conf(self, **changes: object) -> dict[str, object]:
        """Return a configuration that names the state directory."""
        return {"cniVersion": "1.0.0", "name": "net", "type": "slash80", "stateDir": str(self.state_dir), **changes}

    def run(
        self,
        verb: str,
        stdin: bytes,
        *,
        environ: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
        stdout: int | IO[bytes] = subprocess.PIPE,
        through: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[bytes]:
        """Call it with exactly this environment; it may take no longer than the launcher's own limits allow.

        `before` is done in its process, as by a runtime that has limits itself; a program that becomes the launcher, as
        `setpriv` does, may come before it (`through`).
        """
        return subprocess.run(
            [*through, self.program],
            env={**ENVIRON, "CNI_COMMAND": verb} if environ is None else environ,
            input=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
            timeout=90,
            preexec_fn=before,
        )

    def have_engine(self, script: str) -> None:
        """Put a shell script in the engine's place."""
        engine = self.program.parent / ".slash80/engine"
        engine.parent.mkdir()
        engine.write_text(f"#!/bin/sh\n{script}\n")
        engine.chmod(engine.stat().st_mode | stat.S_IXUSR)
