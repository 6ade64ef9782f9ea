"""The containerd releases under test: Debian's, and the newest, which `make tools` builds with a runc that fits it."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.night import at_night


@dataclass(frozen=True)
class Release:
    """One release; its programs lie first on `path`."""

    version: str
    path: str
    import_flags: tuple[str, ...] = ()


DEBIAN = "1.6.20"
NEWEST = "2.2.9"


def usually(version: str) -> pytest.MarkDecorator:
    """Return the marker of tests that have one release only, and at night both."""
    versions = at_night([DEBIAN, NEWEST], usual=[version])
    return pytest.mark.parametrize("containerd_release", versions, indirect=True, ids="containerd-{}".format)


def release(version: str, tools: Path) -> Release:
    """Find a release's programs; a shim and a runc are looked for on the daemon's PATH."""
    if version == DEBIAN:
        return Release(version, os.environ["PATH"])
    # --local: the transfer service, which imports else, unpacks for the default snapshotter only
    return Release(version, f"{tools}:{os.environ['PATH']}", ("--local",))
