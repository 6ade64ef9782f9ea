"""Runs another program without a shell, for a bounded time and with bounded output."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

_MOST = 1 << 20  # bytes of output
_WORDS = 4000  # bytes of what it says on standard error, the last ones
_CHUNK = 64 << 10


@dataclass(slots=True)
class Ended:
    """What a program has printed, and why that cannot be used; `problem` is empty when it has succeeded."""

    output: bytes = b""
    words: str = ""
    problem: str = ""


@dataclass(slots=True)
class _Heard:
    """What a program has printed so far; `shown` is whether what it says goes to our standard error, too."""

    shown: bool
    output: bytearray = field(default_factory=bytearray)
    words: bytearray = field(default_factory=bytearray)

    @property
    def too_much(self) -> bool:
        return len(self.output) > _MOST

    def add_output(self, chunk: bytes) -> None:
        self.output += chunk

    def add_words(self, chunk: bytes) -> None:
        if self.shown:
            sys.stderr.write(chunk.decode("utf-8", "replace"))
            sys.stderr.flush()
        self.words += chunk
        del self.words[:-_WORDS]


def run(command: Sequence[str], environ: Mapping[str, str], *, interactive: bool, seconds: float) -> Ended:
    """Run a program to its end.

    An interactive one has this terminal, and what it says is shown at once. Any other gets a session of its own, so
    that what it has started is killed with it.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_outside(environ),
            start_new_session=not interactive,
        )
    except OSError as error:
        return Ended(problem=f"cannot be started: {error.strerror}")
    heard = _Heard(shown=interactive)
    problem = "was interrupted"
    with process:
        try:
            problem = _follow(process, heard, seconds)
        finally:
            if problem:
                _kill(process, group=not interactive)
    if not problem and process.returncode:
        problem = f"failed with code {process.returncode}"
    return Ended(bytes(heard.output), " ".join(heard.words.decode("utf-8", "replace").split()), problem)


def _outside(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for a program that is not part of this one.

    Where this one is frozen, PyInstaller has set LD_LIBRARY_PATH to the libraries that it carries, and kept the former
    value.
    """
    cleaned = dict(environ)
    if getattr(sys, "frozen", False):
        cleaned.pop("LD_LIBRARY_PATH", None)
        if before := cleaned.pop("LD_LIBRARY_PATH_ORIG", ""):
            cleaned["LD_LIBRARY_PATH"] = before
    return cleaned


def _follow(process: subprocess.Popen[bytes], heard: _Heard, seconds: float) -> str:
    """Read what it prints until it ends; return what is wrong.

    The end of the process counts, not that of its pipes: a browser that it has started may hold those for days.
    """
    deadline = time.monotonic() + seconds
    ended = os.pidfd_open(process.pid)
    pipes = {heard.add_output: process.stdout, heard.add_words: process.stderr}
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ)
            for add, pipe in pipes.items():
                selector.register(pipe, selectors.EVENT_READ, add)  # type: ignore[arg-type]  # they are pipes
            while not heard.too_much:
                ready = selector.select(max(deadline - time.monotonic(), 0))
                if not ready or time.monotonic() > deadline:  # one that talks is always ready
                    return f"has not ended after {seconds:g} s"
                read = [key for key, _ in ready if key.data and _read(key, selector)]
                # what it printed before its end has been read when nothing but the end is left to be seen
                if not read and any(key.fd == ended for key, _ in ready):
                    return ""
    finally:
        os.close(ended)
    return f"prints more than {_MOST} bytes"


def _read(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> bool:
    """Read what has come over a pipe; return whether that is anything. At its end the pipe is left alone."""
    chunk = os.read(key.fd, _CHUNK)
    key.data(chunk)
    if not chunk:
        selector.unregister(key.fileobj)
    return bool(chunk)


def _kill(process: subprocess.Popen[bytes], *, group: bool) -> None:
    """Kill it, and what it has started in its own session. It is not waited for yet, so its number is still its own."""
    with suppress(ProcessLookupError):
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
