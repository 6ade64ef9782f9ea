"""What the launcher does where no agent listens: it becomes the engine, or notes what must not be lost."""

import json
import os
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.fakes import ENVIRON, Launcher
from profiles import of_this_run
from slash80 import ipc
from slash80.cni import document as documents
from slash80.cni import versions
from slash80.errors import Undecodable


def _nobody(_path: Path) -> None:
    """Leave the path empty."""


def _left_behind(path: Path) -> None:
    """Leave the socket of an agent that was killed."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _file(path: Path) -> None:
    path.write_text("")


ABSENCES: dict[str, Callable[[Path], None]] = {"nothing": _nobody, "stale socket": _left_behind, "file": _file}


@pytest.mark.parametrize("leave", ABSENCES.values(), ids=ABSENCES.keys())
def test_the_engine_is_run_where_no_agent_listens(launcher: Launcher, leave: Callable[[Path], None]) -> None:
    """With the same environment, arguments and standard input, as if the runtime had called it."""
    leave(launcher.socket)
    launcher.have_engine('cat; echo "$CNI_CONTAINERID $OTHER" >&2; exit 5')
    stdin = json.dumps(launcher.conf(filler="x" * 200_000)).encode()
    done = launcher.run("ADD", stdin, environ={**ENVIRON, "OTHER": "ä"})

    assert (5, stdin, "c0ffee ä\n") == (done.returncode, done.stdout, done.stderr.decode())


def test_no_folder_means_no_agent(launcher: Launcher) -> None:
    """Nor does a path through a file, or a name that is too long for one."""
    launcher.have_engine("echo engine")
    for state_dir in ("/nowhere/at/all", "/dev/null/x", "/" + "x" * 300):
        done = launcher.run("ADD", json.dumps(launcher.conf(stateDir=state_dir)).encode())
        assert (0, b"engine\n") == (done.returncode, done.stdout)


def test_the_command_line_is_the_engines(launcher: Launcher) -> None:
    """Without CNI_COMMAND the arguments go through, and standard input stays where it is."""
    launcher.have_engine('echo "$@"; cat')
    done = subprocess.run(
        [launcher.program, "status", "-o", "json"], env={}, input=b"typed", capture_output=True, check=False
    )

    assert (0, b"status -o json\ntyped") == (done.returncode, done.stdout)


@pytest.mark.parametrize("missing", ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH", "CNI_NETNS"])
def test_nobody_waits_for_input_that_cannot_matter(launcher: Launcher, missing: str) -> None:
    """Without a variable that the verb needs, standard input is not read."""
    launcher.have_engine("echo engine")
    environ = {name: value for name, value in ENVIRON.items() if name != missing}
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [launcher.program], env=environ, stdin=reading, capture_output=True, check=False, timeout=300
        )
    finally:
        os.close(reading)
        os.close(writing)

    assert b"engine\n" == done.stdout


@pytest.mark.parametrize(("verb", "code"), [("ADD", 11), ("CHECK", 11), ("GC", 11), ("STATUS", 50), ("HUGO", 11)])
def test_without_an_engine_there_is_a_reason(launcher: Launcher, verb: str, code: int) -> None:
    """The runtime tries again later; nothing was done."""
    done = launcher.run(verb, json.dumps(launcher.conf(cniVersion="1.1.0")).encode())
    error = json.loads(done.stdout)

    assert (1, code, "1.1.0") == (done.returncode, error["code"], error["cniVersion"])
    assert "no agent serves this node and the engine cannot be run: No such file or directory" in error["msg"]


# Root as it is in a user namespace: owner of its own files, with no say about those of others.
POWERLESS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.mark.parametrize(("verb", "code"), [("ADD", 5), ("DEL", 5), ("STATUS", 50)])
def test_a_directory_of_another_user_is_told(launcher: Launcher, verb: str, code: int) -> None:
    """As a rootless runtime meets it with the default stateDir: there is no agent of its own to look after."""
    launcher.have_engine("echo engine")
    launcher.socket.touch()
    os.chown(launcher.state_dir, 65534, 65534)
    error = json.loads(launcher.run(verb, json.dumps(launcher.conf()).encode(), through=POWERLESS).stdout)

    assert code == error["code"]
    assert f"{launcher.state_dir} belongs to another user; set stateDir to a directory" in error["msg"]


def test_a_policy_that_keeps_from_the_agent_is_told(launcher: Launcher) -> None:
    """What belongs to the caller's own user and yet cannot be reached is the node's matter."""
    launcher.socket.touch()
    launcher.state_dir.chmod(0)
    error = json.loads(launcher.run("ADD", json.dumps(launcher.conf()).encode(), through=POWERLESS).stdout)

    assert 11 == error["code"]
    assert "the agent cannot be reached: Permission denied" in error["msg"]


def notes(state_dir: Path) -> list[Path]:
    """Return the notes that are there."""
    return list((state_dir / ipc.NOTES).iterdir())


@pytest.mark.parametrize("made", [True, False])
def test_a_removal_is_noted(launcher: Launcher, made: bool) -> None:  # noqa: FBT001
    """The note is the request, for root's eyes only; its name tells when it was written."""
    if not made:
        launcher.state_dir.rmdir()
    stdin = json.dumps(launcher.conf()).encode()
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    done = launcher.run("DEL", stdin)

    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)
    (note,) = notes(launcher.state_dir)
    assert ({**ENVIRON, "CNI_COMMAND": "DEL"}, stdin) == ipc.read(note.read_bytes())
    assert [0o700, 0o700, 0o600] == [
        stat.S_IMODE(path.stat().st_mode) for path in (launcher.state_dir, note.parent, note)
    ]
    moment, _, pid = note.name.partition("-")
    assert before < int(moment) < time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert int(pid) > 1


def test_a_removal_that_cannot_be_noted_is_no_success(launcher: Launcher) -> None:
    """The runtime must come again, or the pod's addresses are lost."""
    (launcher.state_dir / ipc.NOTES).write_text("in the way")
    done = launcher.run("DEL", json.dumps(launcher.conf()).encode())
    error = json.loads(done.stdout)

    assert (1, 11, True) == (done.returncode, error["code"], "cannot be noted" in error["msg"])


def test_input_that_never_ends_is_given_up(launcher: Launcher) -> None:
    """As the engine does, in the same words."""
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [launcher.program], env=ENVIRON, stdin=reading, capture_output=True, check=False, timeout=300
        )
    finally:
        os.close(reading)
        os.close(writing)
    error = json.loads(done.stdout)

    assert (1, 5) == (done.returncode, error["code"])
    assert "standard input cannot be read: it was neither written nor closed within 10 s" == error["msg"]


def test_input_that_is_too_long_goes_to_who_refuses_it(launcher: Launcher) -> None:
    """One byte more than is allowed is enough to know."""
    launcher.have_engine("wc -c")
    done = launcher.run("ADD", b" " * (documents.INPUT_BYTES + 1000))

    assert documents.INPUT_BYTES + 1 == int(done.stdout)


def test_an_environment_that_is_too_long_is_refused(launcher: Launcher) -> None:
    """Code 4 with the limit."""
    done = launcher.run("ADD", b"{}", environ={**ENVIRON, "CNI_ARGS": "x" * ipc.ENVIRONMENT_BYTES})
    error = json.loads(done.stdout)

    assert (1, 4, True) == (done.returncode, error["code"], str(ipc.ENVIRONMENT_BYTES) in error["msg"])


def test_version_is_answered_without_anybody(launcher: Launcher) -> None:
    """With the versions of the Python source; standard input is not read."""
    done = subprocess.run(
        [launcher.program], env={"CNI_COMMAND": "VERSION"}, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )

    assert (0, json.dumps(versions.document()).encode() + b"\n") == (done.returncode, done.stdout)


def test_what_ships_is_small_and_needs_nothing() -> None:
    """Under 100 kB, and no interpreter is asked for."""
    raw = Path(os.environ["SLASH80_ROOT"], "opt/cni/bin/slash80").read_bytes()

    assert len(raw) < 100_000
    assert b"ld-linux" not in raw
    assert b"ld-musl" not in raw


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["cniVersion", "CNIVERSION", "cniversion", "cniVersio", "cniVersions", "name", 'a"\\\n', "ü"])
VERSIONS = st.sampled_from([*versions.SUPPORTED, "9.9.9", "", 'x"', "1.0.0 "])
MEMBERS = st.lists(
    st.tuples(NAMES | st.just("cniVersion"), VERSIONS | VALUES), max_size=6, unique_by=lambda pair: pair[0]
)


@settings(of_this_run(), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MEMBERS, st.text('/aü😀\x7f"\\', max_size=8), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_the_launcher_reads_what_the_engine_reads(
    launcher: Launcher,
    members: list[tuple[str, object]],
    folder: str,
    ascii_only: bool,  # noqa: FBT001
    indent: int | str | None,
) -> None:
    """The version that errors are written in, and the state directory, of any configuration that the engine takes."""
    state_dir = f"{launcher.state_dir}/{folder}"
    pairs = [*members, ("stateDir", state_dir)]
    items = [f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=ascii_only, indent=indent)}" for name, value in pairs]
    raw = f" {{ {' , '.join(items)} }} ".encode("utf-8", "surrogatepass")
    try:
        told = documents.get(documents.decode(raw), "cniVersion")
    except Undecodable:
        return
    done = launcher.run("ADD", raw)

    expected = told if told in versions.SUPPORTED else versions.NEWEST
    assert expected == json.loads(done.stdout)["cniVersion"]
    place = Path(state_dir)
    place.mkdir(parents=True, exist_ok=True)
    assert 0 == launcher.run("DEL", raw).returncode
    (note,) = notes(place)
    note.unlink()
