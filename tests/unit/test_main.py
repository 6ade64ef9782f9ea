"""The process around the engine."""

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest

PROGRAM = [sys.executable, "-B", "-m", "slash80"]


def _run(command: list[str] = PROGRAM, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {"PYTHONPATH": ":".join(sys.path), **variables}
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def _redirected(words: str, streams: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run it with these arguments, and its streams as the shell's language says."""
    return _run(["/bin/sh", "-c", f"exec {shlex.join(PROGRAM)} {words} {streams}"], **variables)


def test_program_without_a_command_names_itself() -> None:
    """Called by a person, it prints its name and versions on standard error, and nothing on standard output."""
    done = _run()

    assert (0, b"") == (done.returncode, done.stdout)
    assert b"slash80" in done.stderr
    assert b"0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0" in done.stderr


def test_call_writes_its_document_and_exit_code() -> None:
    """With CNI_COMMAND the answer is on standard output, and nothing is printed elsewhere."""
    done = _run(CNI_COMMAND="ADD", CNI_PATH="/opt/cni/bin", LANG="C")

    assert (1, b"") == (done.returncode, done.stderr)
    missing = "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing"
    assert {"cniVersion": "1.1.0", "code": 4, "msg": missing} == json.loads(done.stdout)


@pytest.mark.parametrize("streams", [">&-", ">/dev/full", "<&- >&-", "1</dev/null"])
@pytest.mark.parametrize("words", ["version", "--help", "attachments --state-dir /nowhere"])
def test_unwritable_output_of_a_command_is_exit_code_1(words: str, streams: str) -> None:
    """A command whose output is lost says so in one sentence."""
    done = _redirected(words, streams)

    assert 1 == done.returncode
    assert done.stderr.startswith(b"slash80: standard output cannot be written: ")
    assert 1 == done.stderr.count(b"\n")


@pytest.mark.parametrize("streams", [">&-", ">/dev/full", "1</dev/null"])
def test_unwritable_answer_of_a_call_is_a_failure(streams: str) -> None:
    """A call whose document cannot be written fails with one sentence."""
    done = _redirected("", streams, CNI_COMMAND="VERSION")

    assert 1 == done.returncode
    assert done.stderr.startswith(b"slash80: the answer cannot be written to standard output: ")
    assert 1 == done.stderr.count(b"\n")


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", "<&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("nosuch", 2), ("agent --state-dir relative", 2), ("version", 0)])
def test_missing_standard_error_does_not_matter(words: str, code: int, streams: str) -> None:
    """What belongs there is dropped, and does not go to standard output."""
    done = _redirected(words, streams)

    assert code == done.returncode
    assert (code == 0) == bool(done.stdout)


@pytest.mark.parametrize("command", ["", "VERSION", "HUGO"])
def test_closed_streams_end_with_an_exit_code(command: str) -> None:
    """With all three streams closed only the exit code is left."""
    done = _redirected("version", "<&- >&- 2>&-", CNI_COMMAND=command)

    assert 1 == done.returncode
    assert (b"", b"") == (done.stdout, done.stderr)


def test_missing_standard_input_is_code_5() -> None:
    """No file that was opened meanwhile is read in its place."""
    done = _redirected("", "<&-", CNI_COMMAND="GC", CNI_PATH="/opt/cni/bin")

    assert (1, b"") == (done.returncode, done.stderr)
    assert 5 == json.loads(done.stdout)["code"]


def test_ignored_sigchld_does_not_hide_a_failed_nft() -> None:
    """SIG_IGN is inherited, the kernel then keeps no exit code, and Python would report success."""

    def ignore() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    code = "import subprocess; from slash80.__main__ import main; main(); print(subprocess.run(['false']).returncode)"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
        preexec_fn=ignore,
    )

    assert b"1\n" == done.stdout


def test_what_a_call_makes_is_its_users_alone() -> None:
    """Runtimes have all kinds of umasks, and the store names pods: the process takes a umask of its own, 077."""
    code = "import os; from slash80.__main__ import main; os.umask(0); main(); print(oct(os.umask(0)))"

    assert b"0o77\n" == _run([sys.executable, "-B", "-c", code]).stdout


def test_a_standard_input_that_stays_silent_is_given_up() -> None:
    """A runtime that never closes it must not hang the node: the call ends with code 5."""
    code = (
        "from slash80 import ipc; ipc.INPUT_SECONDS = 0.1; from slash80.__main__ import main; raise SystemExit(main())"
    )
    variables = {"PYTHONPATH": ":".join(sys.path), "CNI_COMMAND": "GC", "CNI_PATH": "/opt/cni/bin"}
    program = [sys.executable, "-B", "-c", code]
    with subprocess.Popen(program, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as call:
        assert call.stdout
        assert 5 == json.loads(call.stdout.read())["code"]
