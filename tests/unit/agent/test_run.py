"""The agent as processes: how it starts, ends, and says so."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.rulesets import CLOSED
from lab.waiting import wait_until
from slash80 import ipc
from slash80.agent import run
from slash80.agent.files import LOCK
from slash80.firewall.installed import InstalledTable
from slash80.firewall.records import Ruleset
from slash80.firewall.ruleset import build
from slash80.host import kept_firewall
from slash80.host.kept_firewall import KeptFirewall
from slash80.store.locks import FileLock

# An agent whose workers do what the name says, in the place of calls on a node.
_PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from slash80.agent import run

class Agent(run.Agent):
    def _work(self, tally):
        if {busy}:
            self._prepare()
            while True:
                signal.pause()
        self._server.work()

run.Agent, run._NOTES_EVERY = Agent, {every}
sys.exit(run.run(Path({folder!r})))
"""


@contextmanager
def _agent(folder: Path, *, busy: bool = False, every: float = 10) -> Iterator[subprocess.Popen[bytes]]:
    """Start an agent and wait until it serves; `busy` workers are at a call that never ends."""
    program = _PROGRAM.format(busy=busy, folder=str(folder), every=every)
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]}
    process = subprocess.Popen([sys.executable, "-B", "-c", program], env=environment, stderr=subprocess.PIPE)
    try:
        assert process.stderr
        assert b" serves " in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def _children(process: subprocess.Popen[bytes]) -> list[int]:
    return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_agent_well(tmp_path: Path, number: signal.Signals) -> None:
    """After SIGTERM or SIGINT it exits with 0, and its socket and its workers are gone."""
    with _agent(tmp_path) as process:
        workers = _children(process)
        process.send_signal(number)

        assert 0 == process.wait()
    assert workers
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert not (tmp_path / ipc.SOCKET_NAME).exists()


def test_a_second_signal_ends_all_at_once(tmp_path: Path) -> None:
    """A call that hangs must not keep the agent for longer than the program that stops it waits."""
    with _agent(tmp_path, busy=True) as process:
        process.terminate()
        wait_until(lambda: not (tmp_path / ipc.SOCKET_NAME).exists())
        process.terminate()

        assert -signal.SIGTERM == process.wait()


@pytest.mark.parametrize("lost", ["socket", "state directory"])
def test_an_agent_that_no_call_can_reach_ends(tmp_path: Path, lost: str) -> None:
    """Its manager starts the next one, which makes its socket again; calls that had come are finished before."""
    folder = tmp_path / "state"
    with _agent(folder, every=0.1) as process:
        workers = _children(process)
        path = folder / ipc.SOCKET_NAME if lost == "socket" else folder
        path.rename(tmp_path / "elsewhere")

        assert 1 == process.wait()
        assert process.stderr
        said = process.stderr.read()
    assert f"the socket in {folder} was removed" in said.decode()
    assert b"every call was finished" in said
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_an_agent_ends_with_a_worker_that_dies(tmp_path: Path) -> None:
    """Its next start finds a node as after any kill; the exit code reports a failure."""
    with _agent(tmp_path) as process:
        os.kill(_children(process)[0], signal.SIGKILL)

        assert 1 == process.wait()
        assert process.stderr
        assert b"a process that answers calls has died" in process.stderr.read()


def test_the_workers_die_with_a_killed_agent(tmp_path: Path) -> None:
    """They would go on answering while its successor serves."""
    with _agent(tmp_path, busy=True) as process:
        workers = _children(process)
        process.kill()
        process.wait()

        wait_until(lambda: not any(map(_is_alive, workers)))
    assert workers


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """Have the umask as it was: the agent takes one of its own."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_second_agent_over_one_state_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits for its predecessor, and then says what to do."""
    monkeypatch.setattr(run, "_PREDECESSOR", 0)
    with FileLock(tmp_path / LOCK).held(1):
        assert 1 == run.run(tmp_path)

    assert f"another agent serves {tmp_path}" in caplog.text
    assert 0o077 == os.umask(0o077)


def test_a_state_directory_that_cannot_be_used_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log has one sentence about the directory, and the exit code is 1."""
    (tmp_path / "file").touch()

    assert 1 == run.run(tmp_path / "file/state")
    assert f"{tmp_path}/file/state: Not a directory" in caplog.text


@pytest.mark.parametrize("form", ["path", "abstract"])
def test_systemd_is_told_by_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """A name that begins with @ is one of the abstract namespace (unix(7))."""
    address = str(tmp_path / "notify") if form == "path" else f"\0s80t-{os.getpid()}-{threading.get_ident()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(100)
        monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
        run._tell_systemd("READY=1")

        assert b"READY=1" == manager.recv(100)


@pytest.mark.parametrize("kept", [[], [build(CLOSED)]], ids=["none", "kept"])
def test_a_process_that_will_answer_calls_looks_at_the_firewall_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: list[Ruleset]
) -> None:
    """The first call would otherwise read every chain; where no firewall is kept there is nothing to look at."""
    looked: list[Ruleset] = []

    class Table(InstalledTable):
        def open(self) -> None:
            """Open nothing."""

        def is_whole(self, ruleset: Ruleset) -> bool:
            looked.append(ruleset)
            return True

        def own(self) -> None:
            """Have nothing."""

    for ruleset in kept:
        kept_firewall.write(tmp_path, KeptFirewall(ruleset, "net"))
    agent = run.Agent(tmp_path, None)
    host = SimpleNamespace(store=SimpleNamespace(attachments=list), table=Table())
    monkeypatch.setattr(agent._pool, "opened", lambda _: nullcontext(host))
    agent._prepare()
    agent._server.close()
    assert kept == looked
