"""The launcher as it ships, and built with the sanitizers of gcc."""

import os
import shutil
from pathlib import Path

import pytest

from launcher.fakes import Launcher


@pytest.fixture(params=["shipped", "sanitized"])
def build(request: pytest.FixtureRequest) -> Path:
    """Each build of the launcher."""
    root = os.environ.get("SLASH80_ROOT")
    if not root:
        pytest.fail("SLASH80_ROOT is not set: the Makefile must build the launcher and say where")
    return Path(root, "opt/cni/bin/slash80") if request.param == "shipped" else Path("build/launcher-sanitized")


@pytest.fixture
def launcher(build: Path, tmp_path: Path) -> Launcher:
    """Return a launcher with neither agent nor engine."""
    program = tmp_path / "bin/slash80"
    program.parent.mkdir()
    shutil.copy(build, program)
    state_dir = tmp_path / "state"
    state_dir.mkdir(mode=0o700)
    return Launcher(program, state_dir)
