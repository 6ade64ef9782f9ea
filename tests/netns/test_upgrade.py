"""The plugin replaced by `make install` while it is being called: every call goes on with the files it began with."""

import dataclasses
import os
import shutil
import threading
from pathlib import Path

import pytest

from lab import programs, state
from lab.plugin import Frozen
from lab.rig import Rig

PROJECT = Path(__file__).parents[2]
UPGRADES = 6


@pytest.fixture
def shape() -> str:
    """Only what is installed can be replaced."""
    return "frozen"


@pytest.fixture
def builds(tmp_path: Path) -> list[Path]:
    """Return two builds of the engine whose contents differ, and so their versions."""
    shipped = Path(os.environ["SLASH80_ROOT"], "opt/cni/bin/.slash80/engine").resolve().parent
    found = []
    for name in ("one", "two"):
        copy = tmp_path / name / ".slash80"
        shutil.copytree(shipped, copy)
        (copy / "which").write_text(name)
        (copy / "engine").touch()
        found.append(copy / "engine")
    return found


def install(engine: Path, root: Path) -> None:
    """Install a build as `make install` does."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--silent", "-C", str(PROJECT), "install", f"DESTDIR={root}", f"ENGINE={engine}"]
    programs.run(command, environ=environ)


def test_calls_succeed_while_the_plugin_is_replaced(rig: Rig, builds: list[Path], tmp_path: Path) -> None:
    """No call fails while one version after the other is installed, and one version removes what another attached."""
    root = tmp_path / "root"
    install(builds[0], root)
    assert isinstance(rig.plugin, Frozen)
    rig = dataclasses.replace(rig, plugin=dataclasses.replace(rig.plugin, root=root))
    done = threading.Event()
    cycles = []

    def call_on() -> None:
        while not done.is_set():
            rig.cycle()
            cycles.append(1)

    caller = threading.Thread(target=call_on)
    caller.start()
    for number in range(UPGRADES):
        install(builds[(number + 1) % 2], root)
    done.set()
    caller.join()

    assert cycles
    assert not caller.is_alive()
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)
    assert len([path for path in (root / "opt/cni/bin/.slash80").iterdir() if path.is_dir()]) == 2


def test_versions_share_one_state(rig: Rig, builds: list[Path], tmp_path: Path) -> None:
    """A pod that one version attached is checked and removed by another."""
    assert isinstance(rig.plugin, Frozen)
    install(builds[1], tmp_path / "root")
    attachment = rig.attach()
    other = dataclasses.replace(rig, plugin=dataclasses.replace(rig.plugin, root=tmp_path / "root"))

    other.plugin.check(attachment.pod, rig.conf, attachment.result)
    other.detach(attachment)

    assert state.attachments(rig.state_dir) == 0
