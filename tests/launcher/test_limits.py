"""The launcher under the limits, signals and file mode that a runtime may hand down to it: always an answer."""

import json
import os
import resource
import signal
import stat
from pathlib import Path

import pytest

from lab import limits
from launcher.fakes import Launcher, agent, answering
from slash80 import ipc

RESULT = b'{"cniVersion": "1.0.0"}\n'
LIMITS = {
    "NOFILE": (resource.RLIMIT_NOFILE, 8),
    "FSIZE": (resource.RLIMIT_FSIZE, 0),
    "AS": (resource.RLIMIT_AS, 8 << 20),
    "DATA": (resource.RLIMIT_DATA, 8 << 20),
    "STACK": (resource.RLIMIT_STACK, 256 << 10),
    "CPU": (resource.RLIMIT_CPU, 1),
}


@pytest.fixture(params=LIMITS)
def name(request: pytest.FixtureRequest, build: Path) -> str:
    """Each limit that a program may have, where the sanitizers' own memory fits into it."""
    if "sanitized" in build.name and request.param in {"AS", "DATA", "STACK"}:
        pytest.skip("the sanitizers need more")
    return str(request.param)


def test_the_engine_is_run_as_if_there_were_no_limit(launcher: Launcher, name: str) -> None:
    """What the runtime's process may raise is raised for it."""
    launcher.have_engine("cat")
    stdin = json.dumps(launcher.conf()).encode()
    done = launcher.run("ADD", stdin, before=limits.soft(*LIMITS[name]))

    assert (0, stdin, b"") == (done.returncode, done.stdout, done.stderr)


def test_a_limit_with_which_the_engine_could_not_run_is_told(launcher: Launcher, name: str) -> None:
    """In one document that names it; the engine, which might end without an answer, is not begun."""
    launcher.have_engine('touch "$(dirname "$0")/engine-ran"')
    done = launcher.run("ADD", json.dumps(launcher.conf()).encode(), before=limits.hard(*LIMITS[name]))
    error = json.loads(done.stdout)

    assert (1, b"", 11) == (done.returncode, done.stderr, error["code"])
    assert f"the engine cannot be run: the runtime's RLIMIT_{name} is under" in error["msg"]
    assert not list(launcher.program.parent.rglob("engine-ran"))


def test_an_agent_answers_under_any_limit(launcher: Launcher, name: str) -> None:
    """It has limits of its own, and the launcher needs hardly anything."""
    stdin = json.dumps(launcher.conf()).encode()
    with agent(launcher.socket, answering(ipc.answer(0, RESULT))) as calls:
        done = launcher.run("ADD", stdin, before=limits.hard(*LIMITS[name]))

        assert (0, RESULT, b"", stdin) == (done.returncode, done.stdout, done.stderr, calls[0].stdin)


@pytest.mark.parametrize(("number", "code"), [(0, 5), (3, 11), (4, 11)])
def test_without_descriptors_there_is_an_answer(launcher: Launcher, build: Path, number: int, code: int) -> None:
    """One document; nothing was done."""
    if "sanitized" in build.name:
        pytest.skip("the sanitizers open files themselves")
    with agent(launcher.socket, answering(ipc.answer(0, RESULT))) as calls:
        limit = limits.hard(resource.RLIMIT_NOFILE, number)
        done = launcher.run("ADD", json.dumps(launcher.conf()).encode(), before=limit)
        error = json.loads(done.stdout)

        assert (1, code, b"", []) == (done.returncode, error["code"], done.stderr, calls)


@pytest.mark.parametrize("verb", ["ADD", "VERSION"])
def test_an_answer_that_must_not_be_so_long_is_no_success(launcher: Launcher, tmp_path: Path, verb: str) -> None:
    """To a file, with RLIMIT_FSIZE: a sentence on standard error, and no signal."""
    limit = limits.hard(resource.RLIMIT_FSIZE, 0)
    with agent(launcher.socket, answering(ipc.answer(0, RESULT))), (tmp_path / "answer").open("wb") as file:
        done = launcher.run(verb, json.dumps(launcher.conf()).encode(), before=limit, stdout=file)

    assert 1 == done.returncode
    assert done.stderr.startswith(b"slash80: the answer cannot be written to standard output: File too large; ")


def test_a_removal_that_must_not_be_written_is_no_success(launcher: Launcher) -> None:
    """The runtime must come again."""
    limit = limits.hard(resource.RLIMIT_FSIZE, 0)
    done = launcher.run("DEL", json.dumps(launcher.conf()).encode(), before=limit)
    error = json.loads(done.stdout)

    assert (1, 11, True) == (done.returncode, error["code"], "cannot be noted for it: File too large" in error["msg"])
    assert [] == list((launcher.state_dir / ipc.NOTES).iterdir())


def test_a_note_is_readable_for_root_whatever_the_file_mode_mask(launcher: Launcher) -> None:
    """The caller's might take away every permission."""

    def mask() -> None:
        os.umask(0o777)

    assert 0 == launcher.run("DEL", json.dumps(launcher.conf()).encode(), before=mask).returncode
    (note,) = (launcher.state_dir / ipc.NOTES).iterdir()
    assert [0o700, 0o600] == [stat.S_IMODE(path.stat().st_mode) for path in (note.parent, note)]


def test_ignored_and_blocked_signals_change_nothing(launcher: Launcher) -> None:
    """They are inherited from the program that starts the launcher."""
    every = set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}

    def deafen() -> None:
        for number in every:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, every)

    with agent(launcher.socket, answering(ipc.answer(0, RESULT))):
        done = launcher.run("ADD", json.dumps(launcher.conf()).encode(), before=deafen)

    assert (0, RESULT, b"") == (done.returncode, done.stdout, done.stderr)
