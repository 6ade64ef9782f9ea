"""Running other programs, for all that is built, tested and measured here; a failure is reported with its output."""

from __future__ import annotations

import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

_TAIL = 6000  # characters of what a program said last: a build says much before it fails


class ProgramFailed(RuntimeError):
    """A program failed; the message has its command, how it ended and what it said."""


def run(
    command: Sequence[str | Path],
    *,
    stdin: str | bytes = "",
    environ: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> str:
    """Run a program that must succeed within `seconds`, and return its standard output; else raise ProgramFailed."""
    done = ended(command, stdin=stdin, environ=environ, seconds=seconds)
    if done.returncode:
        fail(done)
    return done.stdout


def ended(
    command: Sequence[str | Path],
    *,
    stdin: str | bytes = "",
    environ: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its exit code; raise ProgramFailed if it does not begin or does not end."""
    words = [str(word) for word in command]
    data = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        done = subprocess.run(words, input=data, env=environ, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        how = f"did not end within {error.timeout:g} s"
        raise ProgramFailed(_told(words, how, _text(error.stdout), _text(error.stderr))) from error
    except OSError as error:
        raise ProgramFailed(f"{shlex.join(words)}: cannot be run: {error.strerror}: {error.filename}") from error
    return subprocess.CompletedProcess(words, done.returncode, _text(done.stdout), _text(done.stderr))


def fail(done: subprocess.CompletedProcess[str]) -> NoReturn:
    """Raise ProgramFailed for a program that has ended."""
    code = done.returncode
    how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    raise ProgramFailed(_told(done.args, how, done.stdout, done.stderr))


def _told(words: Sequence[str], how: str, stdout: str, stderr: str) -> str:
    said = "\n".join(part for part in (stdout[-_TAIL:].strip(), stderr[-_TAIL:].strip()) if part)
    return f"{shlex.join(words)}: {how}: {said or 'it said nothing'}"


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")
