"""Files that others read while they are written."""

from __future__ import annotations

import os
from pathlib import Path


def identity(path: Path) -> tuple[int, int, int] | None:
    """Return what changes whenever `replace` was called, by whatever process; None where there is no such file."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- pathlib's takes three times as long, and each ADD comes here
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def replace(path: Path, content: str, *, mode: int = 0o600) -> None:
    """Write a file so that a reader sees all of it or what was there before; raise OSError when that fails.

    Beside its final place: a runtime does not notice what is renamed in from another directory.
    """
    new = path.parent / f".{path.name}.tmp"
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, mode)
        file.write(content)
        file.flush()
        os.fsync(handle)
    new.replace(path)
