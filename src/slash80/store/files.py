"""Files that others read while they are written."""

from __future__ import annotations

import os
from pathlib import Path


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
