"""The process around the engine."""

import json
import subprocess
import sys


def _run(**variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-B", "-m", "slash80"]
    environment = {"PYTHONPATH": ":".join(sys.path), **variables}
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def test_without_a_command_it_says_what_it_is() -> None:
    """Called by a person, it names itself and the versions on standard error, and standard output stays empty."""
    done = _run()

    assert (0, b"") == (done.returncode, done.stdout)
    assert b"slash80" in done.stderr
    assert b"0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0" in done.stderr


def test_a_call_writes_its_document_and_gives_its_exit_code() -> None:
    """With a command, the answer is on standard output and nothing else anywhere."""
    done = _run(CNI_COMMAND="ADD", CNI_PATH="/opt/cni/bin", LANG="C")

    assert (1, b"") == (done.returncode, done.stderr)
    missing = "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing"
    assert {"cniVersion": "1.1.0", "code": 4, "msg": missing} == json.loads(done.stdout)
