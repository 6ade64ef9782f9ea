"""Other programs, run without a shell and with bounds."""

import os
from pathlib import Path

import pytest

from lab.waiting import wait_until
from slash80.cluster import programs
from slash80.cluster.programs import Ended


def run(script: str, *, interactive: bool = False, seconds: float = 20) -> Ended:
    """Run a script."""
    return programs.run(["/bin/sh", "-c", script], {**os.environ, "A": "b c"}, interactive=interactive, seconds=seconds)


def test_output_and_words_are_read_apart() -> None:
    """What a program prints is data, and what it says on standard error is for people."""
    assert Ended(b"b c\n", "one two") == run('echo "$A"; echo one >&2; echo two >&2')


def test_a_failure_has_its_code_and_the_programs_words() -> None:
    """Both are kept for the sentence that a person sees."""
    assert Ended(b"", "token expired", "failed with code 3") == run("echo token expired >&2; exit 3")


def test_a_program_that_cannot_be_started_says_why() -> None:
    """The system's own words are in the problem."""
    ended = programs.run(["/nowhere"], {}, interactive=False, seconds=20)
    assert "cannot be started: No such file or directory" == ended.problem


def test_a_program_that_hangs_is_killed_with_what_it_has_started(tmp_path: Path) -> None:
    """Else each call of the command would leave processes behind."""
    ended = run(f"sleep 600 & echo $! > {tmp_path}/pid; wait", seconds=5)

    assert "has not ended after 5 s" == ended.problem
    child = int((tmp_path / "pid").read_text())
    wait_until(lambda: not _lives(child))


def _lives(pid: int) -> bool:
    """Report whether a process exists and is not a zombie."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_program_that_talks_while_it_hangs_is_killed() -> None:
    """What it says must not put off the end of its time."""
    assert "has not ended after 0.2 s" == run("exec yes >&2", seconds=0.2).problem


def test_a_program_that_prints_without_end_is_killed() -> None:
    """A megabyte is more than any credential has."""
    assert "prints more than 1048576 bytes" == run("exec yes").problem


def test_a_program_that_talks_without_end_keeps_its_last_words() -> None:
    """The reason stands at the end."""
    ended = run("i=0; while [ $i -lt 9999 ]; do echo word >&2; i=$((i+1)); done; echo reason >&2; exit 1")

    assert ended.words.endswith("word reason")
    assert len(ended.words) <= 4000


def test_what_a_program_leaves_running_is_not_waited_for() -> None:
    """A browser that it has opened holds its pipes for days."""
    assert Ended(b"done\n") == run("sleep 2 & echo done", seconds=600)


def test_an_interactive_program_is_heard_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """It says on standard error where to sign in, and waits for that."""
    ended = run("echo open https://login.example >&2; echo token", interactive=True)

    assert Ended(b"token\n", "open https://login.example") == ended
    assert "open https://login.example\n" == capsys.readouterr().err


def test_a_frozen_program_starts_others_with_their_own_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyInstaller's libraries are for what it has frozen only."""
    environ = {"LD_LIBRARY_PATH": "/frozen", "LD_LIBRARY_PATH_ORIG": "/mine"}
    show = ["/usr/bin/env"]
    assert b"LD_LIBRARY_PATH=/frozen" in programs.run(show, environ, interactive=False, seconds=20).output
    monkeypatch.setattr("sys.frozen", True, raising=False)
    assert b"LD_LIBRARY_PATH=/mine\n" == programs.run(show, environ, interactive=False, seconds=20).output
