"""`slash80 install`: what is laid out, over whatever is there."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slash80.cli import commands

GOOD = """#!/bin/sh
echo '{"cniVersion": "1.1.0", "supportedVersions": ["1.0.0"]}'
"""
BAD = {
    "it says nothing": "#!/bin/sh\nexit 0\n",
    "it fails": GOOD + "exit 3\n",
    "its libc is missing": "#!/no/such/loader\n",
    "it says something else": "#!/bin/sh\necho '{}'\n",
}


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return what an image has: a frozen engine, which runs this, and its launcher."""
    engine = tmp_path / "image/.slash80/1/engine"
    engine.parent.mkdir(parents=True)
    (engine.parent / "inner").mkdir()
    (engine.parent / "inner/module").write_text("one")
    for program in (engine, engine.with_name("nft"), tmp_path / "image/slash80"):
        program.write_text(GOOD)
        program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(engine))
    return tmp_path / "image"


def _install(tmp_path: Path, *more: str) -> int:
    return commands.main(["install", "--bin-dir", str(tmp_path / "bin"), *more])


def test_install_lays_out_launcher_and_engine(image: Path, tmp_path: Path) -> None:
    """The engine's directory is named by its content, links lead to it and its nft, and any user may read them."""
    assert 0 == _install(tmp_path)
    home = tmp_path / "bin/.slash80"
    version = (home / "engine").readlink().parts[0]
    assert {"engine", "nft", version} == {path.name for path in home.iterdir()}
    assert "one" == (home / version / "inner/module").read_text()
    assert GOOD == (home / "engine").read_text() == (home / "nft").read_text() == (tmp_path / "bin/slash80").read_text()
    assert 0o755 == (tmp_path / "bin/slash80").stat().st_mode & 0o777
    assert 0o755 == home.stat().st_mode & 0o777


def test_a_launcher_that_lost_its_mode_on_the_way_is_installed_as_a_program(image: Path, tmp_path: Path) -> None:
    """A copy of the image's files may have dropped the bit by which a runtime can run it."""
    (image / "slash80").chmod(0o600)

    assert 0 == _install(tmp_path)
    assert 0o755 == (tmp_path / "bin/slash80").stat().st_mode & 0o777


def test_launcher_may_come_from_another_place(image: Path, tmp_path: Path) -> None:
    """`--launcher` names it, and the one beside the engine is not needed then."""
    (image / "slash80").rename(tmp_path / "built")
    (tmp_path / "built").write_text(GOOD + "# built\n")

    assert 0 == _install(tmp_path, "--launcher", str(tmp_path / "built"))
    assert GOOD + "# built\n" == (tmp_path / "bin/slash80").read_text()


def test_install_keeps_the_previous_version(image: Path, tmp_path: Path) -> None:
    """Running calls continue with the previous version's files until the next install."""
    versions = []
    for content in ("one", "two", "three"):
        (image / ".slash80/1/inner/module").write_text(content)
        assert 0 == _install(tmp_path)
        versions.append((tmp_path / "bin/.slash80/engine").readlink().parts[0])

    assert {"engine", "nft", *versions[1:]} == {path.name for path in (tmp_path / "bin/.slash80").iterdir()}
    assert 0 == _install(tmp_path)
    assert versions[2] in {path.name for path in (tmp_path / "bin/.slash80").iterdir()}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
@pytest.mark.parametrize("program", [".slash80/1/engine", "slash80"])
def test_engine_that_does_not_run_is_not_installed(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, program: str
) -> None:
    """The installed version stays, and the sentence names the program that failed."""
    assert 0 == _install(tmp_path)
    before = (tmp_path / "bin/.slash80/engine").readlink()
    (image / program).write_text(text)

    assert 1 == _install(tmp_path)
    assert before == (tmp_path / "bin/.slash80/engine").readlink()
    assert GOOD == (tmp_path / "bin/slash80").read_text()
    assert "on this node" in capsys.readouterr().err


def test_engine_is_tried_as_a_runtime_calls_it(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for VERSION, and sees no variable of the installer, which may be meant for the image alone."""
    monkeypatch.setenv("OF_THE_IMAGE", "1")
    (image / ".slash80/1/engine").write_text(GOOD + '[ "$CNI_COMMAND" = VERSION ] && [ -z "$OF_THE_IMAGE" ]\n')

    assert 0 == _install(tmp_path)


def test_install_succeeds_after_a_killed_install(image: Path, tmp_path: Path) -> None:
    """Half a copy, a link or a launcher that a killed install left behind does not stop the next one."""
    home = tmp_path / "bin/.slash80"
    (home / f".new-{os.getpid()}/inner").mkdir(parents=True)
    (home / ".new-1").mkdir()
    (home / ".link").symlink_to("nowhere")
    (home / ".launcher").write_text("half")

    assert 0 == _install(tmp_path)
    assert 3 == len(list(home.iterdir()))


def test_unwritable_directory_is_one_sentence(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An install into a directory that cannot be written ends with one sentence."""
    (tmp_path / "bin").touch()
    assert 1 == _install(tmp_path)
    assert "slash80 install: " in capsys.readouterr().err
    (tmp_path / "bin").unlink()
    assert 1 == _install(tmp_path, "--launcher", str(tmp_path / "none"))


def test_install_shows_what_the_engine_said(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason is in the engine's own words, with or without an error document."""
    (image / ".slash80/1/engine").write_text("#!/bin/sh\necho no such loader >&2; exit 127\n")
    assert 1 == _install(tmp_path)
    assert "does not run on this node: code 127 no such loader" in capsys.readouterr().err
    (image / ".slash80/1/engine").write_text('#!/bin/sh\necho \'{"msg": "why"}\'; echo more >&2; exit 1\n')
    assert 1 == _install(tmp_path)
    assert 'does not run on this node: code 1 {"msg": "why"} more' in capsys.readouterr().err


def test_install_copies_no_extended_attributes(image: Path, tmp_path: Path) -> None:
    """An SELinux label is such an attribute: that of an image's file would keep runtimes from running it."""
    for path in (image / ".slash80/1", image / ".slash80/1/engine", image / "slash80"):
        os.setxattr(path, "user.label", b"container_file_t")
    assert 0 == _install(tmp_path)
    assert [] == [path for path in (tmp_path / "bin").rglob("*") if "user.label" in os.listxattr(path)]


def test_concurrent_installers_wait_for_each_other(image: Path, tmp_path: Path) -> None:
    """Eight installers into one directory all succeed, and none leaves a temporary file."""
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: _install(tmp_path), range(8)))

    home = tmp_path / "bin/.slash80"
    assert [0] * 8 == codes
    assert {"engine", "nft", (home / "engine").readlink().parts[0]} == {path.name for path in home.iterdir()}
