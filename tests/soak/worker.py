"""One process that calls the plugin again and again, writes down what came of it, and may be killed."""

import io
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from lab import programs
from lab.descriptors import Descriptors
from lab.waiting import wait_until
from slash80 import engine, failpoints
from soak.operations import Chooser, Operation
from soak.world import SPOTS, Json, World

KILLED = -signal.SIGKILL


class Journal:
    """What a worker did, one line per beginning and end, written at once: a kill loses nothing."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, *entry: object) -> None:
        """Add a line with the boottime."""
        line = json.dumps([now(), *entry], separators=(",", ":")) + "\n"
        os.write(self._descriptor, line.encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class Worker:
    """Does operations on the node in whose namespace it runs."""

    def __init__(self, world: World, journal: Journal) -> None:
        self._world, self._journal = world, journal

    def work(self, chooser: Chooser, quota: int) -> None:
        """Do so many operations; then see that nothing was left open."""
        descriptors = Descriptors()
        for _ in range(quota):
            self.perform(*chooser.next())
        if left := [*_threads(), *descriptors.left()]:
            self._journal.write("leak", ", ".join(left))

    def perform(self, operation: Operation, environ: dict[str, str], conf: Json) -> None:
        """Do one operation, and write down what came of it."""
        self._journal.write("begin", operation.record())
        if not environ:
            self._accident(operation)
            self._journal.write("end", operation.number, 0, "")
            return
        call = self._frozen if operation.frozen and self._world.root else self._inside
        code, answer = call(operation, environ, json.dumps(conf).encode())
        if code == 0 and operation.verb == "ADD":
            self._world.remember(SPOTS[operation.spot], operation.number, json.loads(answer))
        if code != KILLED:
            self._journal.write("end", operation.number, code, json.loads(answer) if answer else "")

    def _inside(self, operation: Operation, environ: Mapping[str, str], stdin: bytes) -> tuple[int, bytes]:
        stdout = io.BytesIO()
        if operation.moment:
            failpoints.watch_from_environment({failpoints.VARIABLE: f"{operation.moment}:KILL"})
        code = engine.run(environ, io.BytesIO(stdin), stdout)
        failpoints.watch(None)
        return code, stdout.getvalue()

    def _frozen(self, operation: Operation, environ: dict[str, str], stdin: bytes) -> tuple[int, bytes]:
        if operation.moment:
            environ = environ | {failpoints.VARIABLE: f"{operation.moment}:KILL"}
        program = [str(Path(str(self._world.root), "opt/cni/bin/slash80"))]
        timeout = operation.kill_after or 300
        try:
            done = subprocess.run(program, env=environ, input=stdin, capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            return KILLED, b""
        return done.returncode, done.stdout

    def _accident(self, operation: Operation) -> None:
        database = self._world.state_dir / "state.db"
        with suppress(OSError):  # others may be at the same
            if operation.kind == "renew":
                self._world.renew(operation.pod)
            elif operation.kind == "flush":
                programs.run(["nft", "flush", "ruleset"])
            elif operation.kind == "lose":
                database.unlink()
            elif operation.kind == "damage":
                with database.open("r+b") as file:
                    file.write(b"damage" * 20)


def now() -> float:
    """Seconds since the machine booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _threads() -> list[str]:
    """Name the threads beyond the first that do not end."""
    with suppress(TimeoutError):
        wait_until(lambda: threading.active_count() == 1)
    return [thread.name for thread in threading.enumerate()[1:]]
