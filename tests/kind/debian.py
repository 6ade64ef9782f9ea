"""A small Debian, as a directory or an archive, from the package archive that this machine uses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lab import programs

RELEASE = "bookworm"
_SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
_WASTE = ("doc", "info", "locale", "man")


def sources() -> list[Path]:
    """Return the file that names this machine's package archives, if it has one."""
    return [path for path in map(Path, _SOURCES) if path.exists()][:1]


def bootstrap(target: Path, packages: Sequence[str] = (), *, release: str = RELEASE, variant: str = "minbase") -> None:
    """Make it at `target`, an archive if that ends with .tar, without documentation and package lists.

    The licences stay, which an engine that is built there has to bring along.
    """
    options = [f"--dpkgopt=path-exclude=/usr/share/{waste}/*" for waste in _WASTE]
    options.append("--dpkgopt=path-include=/usr/share/doc/*/copyright")
    options += ["--customize-hook=rm -rf $1/var/lib/apt/lists/* $1/var/cache/apt/*"]
    if packages:
        options.append(f"--include={','.join(packages)}")
    programs.run(["mmdebstrap", "--quiet", f"--variant={variant}", *options, release, str(target), *_sources(release)])


def _sources(release: str) -> list[str]:
    """Return where packages of a release are: for this machine's as it says, else the archive that it names first."""
    files = sources()
    if release == RELEASE or not files:
        return [*map(str, files)]
    (archive, *_) = re.findall(r"^(?:URIs:|deb(?: \[.*?\])?)\s+(\S+)", files[0].read_text(), re.MULTILINE)
    return [f"deb {archive} {release} main"]
