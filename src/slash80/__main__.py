"""The process around the engine: environment, bounded standard input, standard output and exit code."""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import BinaryIO, cast

from slash80 import __version__, failpoints
from slash80.cni import versions
from slash80.engine import run
from slash80.ipc import INPUT_SECONDS, SENTENCES


class _PatientInput(io.RawIOBase):
    """Standard input that is given up after a while: a runtime that never closes it must not hang a node."""

    def readable(self) -> bool:
        """Report that it is readable."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read what is there; raise TimeoutError when nothing comes for too long."""
        if not select.select([0], [], [], max(0.0, self._deadline - time.monotonic()))[0]:
            raise TimeoutError(SENTENCES["LATE_INPUT"])
        return os.readv(0, [buffer])

    _deadline = time.monotonic() + INPUT_SECONDS


class _Unwritable(OSError):
    """Standard output cannot be written."""


class _Output(io.RawIOBase):
    """Standard output without a buffer: what could not be written must not come later, in front of something else."""

    _number = 1

    def writable(self) -> bool:
        """Report that it is writable."""
        return True

    def fileno(self) -> int:
        """Return its number, by which a table finds out how wide it may be."""
        return self._number

    def isatty(self) -> bool:
        """Report whether it is a terminal."""
        return os.isatty(self._number)

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write all of it; raise _Unwritable when that is not possible."""
        rest = memoryview(data).cast("B")
        try:
            while rest:
                rest = rest[os.write(self._number, rest) :]
        except OSError as error:
            raise _Unwritable(error.errno, error.strerror) from error
        return memoryview(data).nbytes


class _Errors(_Output):
    """Standard error. A command does not fail when no one reads it."""

    _number = 2

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write what can be written."""
        with suppress(_Unwritable):
            super().write(data)
        return memoryview(data).nbytes


def _complain(text: str) -> None:
    """Write a sentence to standard error, if there is one."""
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())


def main() -> int:
    """Run one call or one command, or say what this program is."""
    os.umask(0o077)
    # Where the caller ignores it, the kernel keeps no exit code of a child, and Python takes that for 0: of nft, too.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if os.environ.get("CNI_COMMAND"):
        return _call()
    if len(sys.argv) > 1:
        return _command_line(sys.argv[1:])
    about = f"slash80 {__version__}: a CNI plugin for dual-stack pods with public IPv6"
    _complain(f"{about}\nCNI protocol versions supported: {', '.join(versions.SUPPORTED)}")
    return 0


def _call() -> int:
    try:
        os.fstat(1)
        _occupy_streams()
        failpoints.watch_from_environment(os.environ)
        return run(os.environ, io.BufferedReader(_PatientInput()), cast("BinaryIO", _Output()))
    except OSError as error:
        _complain(SENTENCES["CLOSED"] % error.strerror)
    return 1


def _command_line(arguments: list[str]) -> int:
    from slash80.cli.commands import main as command_line  # noqa: PLC0415 -- a call does not pay for it

    _occupy_streams()
    # Python sets its own to None if they are closed, and print() to such a standard error goes to standard output
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(_Output()), "utf-8", "surrogateescape")
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(_Errors()), "utf-8", "backslashreplace", line_buffering=True)
    try:
        try:
            code = command_line(arguments)
        except SystemExit as ended:  # argparse, after --help or an unknown argument
            code = int(ended.code or 0)
        sys.stdout.flush()
    except _Unwritable as error:
        _complain(f"slash80: standard output cannot be written: {error.strerror}; what it should have held is lost")
        code = 1
    return code


def _occupy_streams() -> None:
    """Take the numbers of standard streams that are closed, or a file that is opened here would become one."""
    while (taken := os.open("/", os.O_PATH)) <= 2:
        pass
    os.close(taken)


if __name__ == "__main__":
    exit_code = main()
    # Everything is written and committed; taking the interpreter down in order costs another 12 ms of each call.
    os._exit(exit_code)
