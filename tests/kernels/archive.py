"""Archives of which an initramfs is made; several may follow each other (initramfs-buffer-format.rst of the kernel)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path


def pack(folder: Path, names: Iterable[str | Path], descriptor: int) -> None:
    """Write these files, links and folders below a folder, each folder with all that is in it and those above it."""
    wanted: dict[str, None] = {}
    for name in names:
        path = folder / name
        inside = sorted(path.rglob("*")) if path.is_dir() and not path.is_symlink() else []
        for one in (*reversed(path.parents), path, *inside):
            if one.is_relative_to(folder) and one != folder:
                wanted[one.relative_to(folder).as_posix()] = None
    words = ["cpio", "--create", "--format=newc", "--owner=+0:+0", "--quiet", "--null"]
    subprocess.run(words, cwd=folder, input="\0".join(wanted).encode(), stdout=descriptor, check=True)
