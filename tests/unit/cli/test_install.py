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
    """Give what an image has: a frozen engine, which runs this, and its launcher."""
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


def test_launcher_and_engine_are_laid_out(image: Path, tmp_path: Path) -> None:
    """The engine under a name of its content, with links that lead to it and its nft; readable for every user."""
    assert 0 == _install(tmp_path)
    home = tmp_path / "bin/.slash80"
    version = (home / "engine").readlink().parts[0]
    assert {"engine", "nft", version} == {path.name for path in home.iterdir()}
    assert "one" == (home / version / "inner/module").read_text()
    assert GOOD == (home / "engine").read_text() == (home / "nft").read_text() == (tmp_path / "bin/slash80").read_text()
    assert 0o755 == (tmp_path / "bin/slash80").stat().st_mode & 0o777
    assert 0o755 == home.stat().st_mode & 0o777


def test_the_version_before_stays_until_the_next(image: Path, tmp_path: Path) -> None:
    """Calls that still run go on importing from it."""
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
def test_what_does_not_run_here_is_not_put_in_force(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, program: str
) -> None:
    """What was there before is, and the sentence names the program."""
    assert 0 == _install(tmp_path)
    before = (tmp_path / "bin/.slash80/engine").readlink()
    (image / program).write_text(text)

    assert 1 == _install(tmp_path)
    assert before == (tmp_path / "bin/.slash80/engine").readlink()
    assert GOOD == (tmp_path / "bin/slash80").read_text()
    assert "on this node" in capsys.readouterr().err


def test_what_a_killed_install_left_is_no_hindrance(image: Path, tmp_path: Path) -> None:
    """Half a copy, a link, a launcher."""
    home = tmp_path / "bin/.slash80"
    (home / f".new-{os.getpid()}/inner").mkdir(parents=True)
    (home / ".new-1").mkdir()
    (home / ".link").symlink_to("nowhere")
    (home / ".launcher").write_text("half")

    assert 0 == _install(tmp_path)
    assert 3 == len(list(home.iterdir()))


def test_a_place_that_cannot_be_written_is_told(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one sentence."""
    (tmp_path / "bin").touch()
    assert 1 == _install(tmp_path)
    assert "slash80 install: " in capsys.readouterr().err
    (tmp_path / "bin").unlink()
    assert 1 == _install(tmp_path, "--launcher", str(tmp_path / "none"))


def test_what_a_program_says_is_told(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason is in its own words, whether or not it printed a document."""
    (image / ".slash80/1/engine").write_text("#!/bin/sh\necho no such loader >&2; exit 127\n")
    assert 1 == _install(tmp_path)
    assert "does not run on this node: code 127 no such loader" in capsys.readouterr().err
    (image / ".slash80/1/engine").write_text('#!/bin/sh\necho \'{"msg": "why"}\'; echo more >&2; exit 1\n')
    assert 1 == _install(tmp_path)
    assert 'does not run on this node: code 1 {"msg": "why"} more' in capsys.readouterr().err


def test_attributes_of_the_image_stay_there(image: Path, tmp_path: Path) -> None:
    """A label of SELinux is such an attribute: that of an image's file would keep runtimes from running it."""
    for path in (image / ".slash80/1", image / ".slash80/1/engine", image / "slash80"):
        os.setxattr(path, "user.label", b"container_file_t")
    assert 0 == _install(tmp_path)
    assert [] == [path for path in (tmp_path / "bin").rglob("*") if "user.label" in os.listxattr(path)]


def test_installers_that_meet_wait_for_each_other(image: Path, tmp_path: Path) -> None:
    """Each of eight installers into one directory succeeds, and nothing temporary of theirs is left."""
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: _install(tmp_path), range(8)))

    home = tmp_path / "bin/.slash80"
    assert [0] * 8 == codes
    assert {"engine", "nft", (home / "engine").readlink().parts[0]} == {path.name for path in home.iterdir()}
