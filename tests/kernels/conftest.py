"""Each kernel is booted once for all stories that are asked for, and once more with nothing but busybox beside it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from kernels import contents, debian, guest
from kernels.archive import pack
from kernels.machine import Run, boot

_HERE = Path(__file__).parent
_TREE = _HERE.parents[1]
_SECONDS, _SECONDS_BARE = 5400, 1200  # beside other work an emulated machine needs a good part of them


class Guests:
    """What came of each boot, which is made when it is first asked for."""

    def __init__(self, folder: Path, chosen: dict[str, list[str]]) -> None:
        self._folder, self._chosen = folder, chosen
        self._cache, self._root = Path(os.environ["SLASH80_CACHE"]), Path(os.environ["SLASH80_ROOT"])
        self._stories: dict[str, Run] = {}
        self._bare: dict[str, Run] = {}

    def stories(self, series: str) -> Run:
        """Return what came of the stories on a kernel."""
        if series not in self._stories:
            chosen = self._chosen[series]
            files = sorted({f"tests/netns/{story.partition('::')[0]}" for story in chosen})
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "kernels.guest",
                "--color=no",
                "--tb=short",
                "--every-shape",
                *files,
            ]
            environ = {
                "PYTHONPATH": ":".join(map(str, (_TREE / "src", _TREE / "tests", _TREE))),
                "SLASH80_PATIENCE": "10",
                "SLASH80_PODS": "20",
                "SLASH80_ROOT": str(self._root),
                guest.CHOSEN: " ".join(chosen),
            }
            archives = [self._packed("userland", Path("/"), contents.userland())]
            archives.append(self._packed("tree", Path("/"), [*contents.tree(_TREE), self._root]))
            kernel = debian.ensure(series, self._cache)
            self._stories[series] = boot(kernel, archives, command, folder=_TREE, environ=environ, seconds=_SECONDS)
        return self._stories[series]

    def bare(self, series: str) -> Run:
        """Return what came of the plugin on a node with a kernel and busybox, and nothing else."""
        if series not in self._bare:
            archives = [self._packed("plugin", self._root, ["opt"]), self._packed("script", _HERE, ["bare.sh"])]
            kernel = debian.ensure(series, self._cache)
            self._bare[series] = boot(
                kernel, archives, ["sh", "bare.sh"], folder=Path("/"), environ={}, seconds=_SECONDS_BARE
            )
        return self._bare[series]

    def _packed(self, name: str, folder: Path, names: Iterable[str | Path]) -> Path:
        """Pack files once for all boots."""
        path = self._folder / name
        if not path.exists():
            with path.open("wb") as archive:
                pack(folder, names, archive.fileno())
        return path


@pytest.fixture(scope="session")
def guests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Guests:
    """Return the machines; of the stories those are told that this run asks for."""
    if platform.machine() != "x86_64":
        pytest.skip("the guests are of this machine's architecture, and known for x86_64 only")
    chosen: dict[str, list[str]] = {series: [] for series in debian.RELEASES}
    for item in request.session.items:
        parameters = getattr(item, "callspec", None)
        if parameters and "story" in parameters.params:
            chosen[parameters.params["series"]].append(parameters.params["story"])
    return Guests(tmp_path_factory.mktemp("kernels"), chosen)
