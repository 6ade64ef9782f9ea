"""The process around the engine: environment, bounded standard input, standard output and exit code."""

from __future__ import annotations

import io
import os
import select
import sys
import time
from contextlib import suppress
from typing import BinaryIO, cast

from slash80 import __version__, moments
from slash80.cni import versions
from slash80.cni.document import INPUT_BYTES
from slash80.engine import run
from slash80.handover import INPUT_SECONDS, SENTENCES


class _PatientInput(io.RawIOBase):
    """Standard input that is given up after a while: a runtime that never closes it must not hang a node."""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read what is there; raise TimeoutError when nothing comes for too long."""
        if not select.select([0], [], [], max(0.0, self._deadline - time.monotonic()))[0]:
            raise TimeoutError(SENTENCES["LATE_INPUT"])
        return os.readv(0, [buffer])

    _deadline = time.monotonic() + INPUT_SECONDS


class _Answer(io.RawIOBase):
    """Standard output without a buffer: what could not be written must not come later, in front of something else."""

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write all of it; raise OSError when that is not possible."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[os.write(1, rest) :]
        return memoryview(data).nbytes


def _complain(text: str) -> None:
    """Say a sentence on standard error, if there is one."""
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())


def main() -> int:
    """Run one call, or say what this program is when no call is made."""
    os.umask(0o077)
    if not os.environ.get("CNI_COMMAND"):
        if len(sys.argv) > 1:
            from slash80.cli.commands import main as command_line  # noqa: PLC0415 -- a call does not pay for it

            return command_line(sys.argv[1:])
        about = f"slash80 {__version__}: a CNI plugin for dual-stack pods with public IPv6"
        _complain(f"{about}\nCNI protocol versions supported: {', '.join(versions.SUPPORTED)}")
        return 0
    try:
        os.fstat(1)  # a closed one would become some other file that is opened on the way
        moments.watch_as_told(os.environ)
        return run(os.environ, io.BufferedReader(_PatientInput(), INPUT_BYTES), cast("BinaryIO", _Answer()))
    except OSError as error:
        _complain(SENTENCES["CLOSED"] % error.strerror)
    return 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Everything is written and committed; taking the interpreter down in order costs another 12 ms of each call.
    os._exit(code)
