"""What the launcher does with an agent, however that behaves: one answer, one exit code, and one run, but of a DEL."""

import json
import os
import signal
import socket
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

from launcher.fakes import ENVIRON, Behaviour, Call, Launcher, agent, answering, reachable, receive
from slash80 import ipc
from slash80.cni.document import INPUT_BYTES

RESULT = b'{"cniVersion": "1.0.0", "ips": []}\n'
ERROR = b'{"cniVersion": "1.0.0", "code": 7, "msg": "no"}\n'
ENGINE_RAN = "touch engine-ran; echo '{}'"


def document(done: subprocess.CompletedProcess[bytes]) -> dict[str, object]:
    """Demand exactly one error document, and give it."""
    assert (1, b"") == (done.returncode, done.stderr)
    found: dict[str, object] = json.loads(done.stdout)
    assert {"cniVersion", "code", "msg"} == set(found)
    return found


def test_the_agent_gets_the_whole_call(launcher: Launcher) -> None:
    """The CNI variables and no others, standard input byte by byte, and the namespace as a descriptor."""
    stdin = json.dumps(launcher.conf(key="ä\0\n")).encode()
    with agent(launcher.socket, answering(ipc.answer(0, RESULT))) as calls:
        done = launcher.run("ADD", stdin, environ={**ENVIRON, "CNI_ARGS": "A=\udcff", "PATH": "/bin", "CNIX": "1"})

        (call,) = calls
        assert (0, RESULT, b"") == (done.returncode, done.stdout, done.stderr)
        assert ({**ENVIRON, "CNI_ARGS": "A=\udcff"}, stdin) == (call.variables, call.stdin)
        (descriptor,) = call.descriptors
        assert os.path.samestat(os.fstat(descriptor), Path("/proc/self/ns/net").stat())


@pytest.mark.parametrize(
    ("verb", "netns", "count"),
    [
        *((verb, "/proc/self/ns/net", 1) for verb in ("ADD", "CHECK", "DEL")),
        *((verb, "/proc/self/ns/net", 0) for verb in ("GC", "STATUS")),
        *(("DEL", path, 0) for path in ("", "/nowhere", "/dev/null", "/proc/self/status")),
    ],
)
def test_the_namespace_goes_along_where_there_is_one(launcher: Launcher, verb: str, netns: str, count: int) -> None:
    """A DEL passes without a namespace, and a path that is not one is not opened."""
    environ = {**ENVIRON, "CNI_COMMAND": verb, "CNI_NETNS": netns}
    text = RESULT if verb == "ADD" else b""
    with agent(launcher.socket, answering(ipc.answer(0, text))) as calls:
        done = launcher.run(verb, json.dumps(launcher.conf()).encode(), environ=environ)

        assert (0, text) == (done.returncode, done.stdout)
        assert count == len(calls[0].descriptors)


@pytest.mark.parametrize("answer", [(0, RESULT), (1, ERROR)])
def test_an_answer_is_handed_on_as_it_is(launcher: Launcher, answer: tuple[int, bytes]) -> None:
    """Exit code and document are the agent's."""
    with agent(launcher.socket, answering(ipc.answer(*answer))):
        done = launcher.run("ADD", json.dumps(launcher.conf()).encode())

    assert answer == (done.returncode, done.stdout)


def test_the_largest_call_and_answer_go_through(launcher: Launcher) -> None:
    """What fits is handed on to the byte; of what does not, one byte too many is enough for the agent to refuse it."""
    stdin = json.dumps(launcher.conf()).encode().ljust(INPUT_BYTES + 5)
    answer = b'{"a": "' + b"x" * (ipc.ANSWER_BYTES - 10) + b'"}\n'
    assert ipc.ANSWER_BYTES == len(answer)
    with agent(launcher.socket, answering(ipc.answer(0, answer))) as calls:
        for size in (INPUT_BYTES, INPUT_BYTES + 5):
            done = launcher.run("ADD", stdin[:size])
            assert (0, answer) == (done.returncode, done.stdout)

        assert [stdin[:INPUT_BYTES], stdin[: INPUT_BYTES + 1]] == [call.stdin for call in calls]


def _hang_up(_connection: socket.socket, _call: Call) -> None:
    """Close at once, with the request unread."""


def _reset(connection: socket.socket, call: Call) -> None:
    """Read a little, then close."""
    receive(connection, call, 10)


MISBEHAVIOURS: dict[str, tuple[Behaviour, str]] = {
    "hangs up": (_hang_up, "hung up|reset"),
    "hangs up in the middle": (_reset, "hung up|reset"),
    "says nothing": (answering(b""), "hung up"),
    "failure without document": (answering(b"\1"), "cut short"),
    "another exit code": (answering(b"\7" + ERROR), "exit code"),
    "text": (answering(b"\0Traceback (most recent call last)\n"), "not a JSON"),
    "two answers": (answering(b"\1" + ERROR + b"\0" + RESULT), "not a JSON"),
    "half": (answering(b"\0" + RESULT[:-10]), "cut short"),
    "without its end": (answering(b"\0" + RESULT[:-1]), "cut short"),
    "huge": (answering(b"\0{" + b"x" * ipc.ANSWER_BYTES + b"}\n"), "too long"),
}


@pytest.mark.parametrize(("behave", "words"), MISBEHAVIOURS.values(), ids=MISBEHAVIOURS.keys())
@pytest.mark.parametrize(("verb", "code"), [("ADD", 11), ("STATUS", 50)])
def test_no_valid_answer(launcher: Launcher, verb: str, code: int, behave: Behaviour, words: str) -> None:
    """Whatever came instead, the runtime gets one document that says so; the engine is not run."""
    launcher.have_engine(ENGINE_RAN)
    with agent(launcher.socket, behave):
        error = document(launcher.run(verb, json.dumps(launcher.conf()).encode()))

    assert (code, "1.0.0") == (error["code"], error["cniVersion"])
    assert any(word in str(error["msg"]) for word in words.split("|"))
    assert not list(launcher.program.parent.rglob("engine-ran"))


@pytest.mark.parametrize(("behave", "words"), MISBEHAVIOURS.values(), ids=MISBEHAVIOURS.keys())
@pytest.mark.parametrize("code", [0, 1])
def test_a_del_without_a_valid_answer_is_done_by_the_engine(
    launcher: Launcher, code: int, behave: Behaviour, words: str
) -> None:
    """It may be done twice, and a runtime may never send it again; the engine gets all of it, and its answer counts."""
    assert words
    stdin = json.dumps(launcher.conf(filler="x" * 200_000)).encode()
    launcher.have_engine(f"cat; exit {code}")
    with agent(launcher.socket, behave):
        done = launcher.run("DEL", stdin)

    assert (code, stdin, b"") == (done.returncode, done.stdout, done.stderr)
    assert not (launcher.state_dir / ipc.NOTES).exists()


def test_a_del_without_a_valid_answer_is_noted_where_there_is_no_engine(launcher: Launcher) -> None:
    """As one without an agent: the next agent does it."""
    stdin = json.dumps(launcher.conf()).encode()
    with agent(launcher.socket, _reset):
        done = launcher.run("DEL", stdin)

    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)
    (note,) = (launcher.state_dir / ipc.NOTES).iterdir()
    assert stdin == ipc.read(note.read_bytes())[1]


def test_an_add_without_a_result_was_cut_short(launcher: Launcher) -> None:
    """For other verbs an exit code alone is how they say that all is well."""
    stdin = json.dumps(launcher.conf()).encode()
    with agent(launcher.socket, answering(b"\0")):
        assert 11 == document(launcher.run("ADD", stdin))["code"]
        assert (0, b"") == ((done := launcher.run("DEL", stdin)).returncode, done.stdout)


def test_an_agent_that_refuses_before_it_has_read_is_heard(launcher: Launcher) -> None:
    """It may answer and hang up while the launcher is still sending."""
    stdin = json.dumps(launcher.conf(filler="x" * 500_000)).encode()

    def refuse(connection: socket.socket, call: Call) -> None:
        connection.sendall(ipc.answer(1, ERROR))
        connection.shutdown(socket.SHUT_WR)
        while receive(connection, call):
            pass

    with agent(launcher.socket, refuse):
        assert (7, 1) == (document(done := launcher.run("ADD", stdin))["code"], done.returncode)


def test_a_slow_agent_is_waited_for_bit_by_bit(launcher: Launcher) -> None:
    """A large call goes out in parts and an answer comes in parts; nothing is lost or doubled, stopped or not."""
    stdin = json.dumps(launcher.conf(filler="ü" * 80_000)).encode()
    answer = ipc.answer(0, b'{"a": "' + b"y" * 100_000 + b'"}\n')

    def dawdle(connection: socket.socket, call: Call) -> None:
        while receive(connection, call, 1000):
            pass
        for start, end in pairwise([*range(0, len(answer), 5000), len(answer)]):
            connection.sendall(answer[start:end])
            time.sleep(0.001)

    with agent(launcher.socket, dawdle) as calls:
        process = subprocess.Popen([launcher.program], env=ENVIRON, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin
        assert process.stdout
        process.stdin.write(stdin)
        process.stdin.close()
        while not calls:
            time.sleep(0.001)
        for _ in range(20):  # interrupts whatever it waits in
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGCONT)
        assert (answer[1:], 0) == (process.stdout.read(), process.wait())
        process.stdout.close()
        assert [stdin] == [call.stdin for call in calls]


def _hang(connection: socket.socket, call: Call) -> None:
    """Take the call, and never answer."""
    while receive(connection, call):
        pass
    connection.recv(1)  # until the launcher has gone
    time.sleep(3.5)


def test_a_hung_agent_is_given_up(launcher: Launcher) -> None:
    """Within the launcher's limit, which is shorter than the runtime's, so that people see this error."""
    launcher.have_engine(ENGINE_RAN)
    started = time.monotonic()
    with agent(launcher.socket, _hang):
        error = document(launcher.run("STATUS", json.dumps(launcher.conf()).encode()))

        assert (50, True) == (error["code"], "in time" in str(error["msg"]))
        assert ipc.LIMITS["STATUS"] <= time.monotonic() - started + 0.01
    assert not list(launcher.program.parent.rglob("engine-ran"))


def test_a_full_backlog_is_waited_for_in_bounds(launcher: Launcher) -> None:
    """If the backlog is full the engine is not run, since an agent exists."""
    launcher.have_engine(ENGINE_RAN)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        with reachable(launcher.socket) as address:
            listener.bind(address)
            listener.listen(0)
            other.connect(address)
        error = document(launcher.run("STATUS", json.dumps(launcher.conf()).encode()))

    assert (50, True) == (error["code"], "cannot be reached" in str(error["msg"]))
    assert not list(launcher.program.parent.rglob("engine-ran"))


def test_the_way_to_the_socket_may_be_long(launcher: Launcher) -> None:
    """Longer than a socket's address."""
    launcher.state_dir = launcher.state_dir.joinpath(*["folder" * 8] * 10)
    launcher.state_dir.mkdir(parents=True)
    with agent(launcher.socket, answering(ipc.answer(0, RESULT))):
        done = launcher.run("ADD", json.dumps(launcher.conf()).encode())

    assert (0, RESULT) == (done.returncode, done.stdout)


def test_the_socket_may_be_elsewhere(launcher: Launcher, tmp_path: Path) -> None:
    """The configuration's `socket` counts more than its `stateDir`."""
    occupied = tmp_path / "other.sock"
    with agent(occupied, answering(ipc.answer(0, RESULT))):
        done = launcher.run("ADD", json.dumps(launcher.conf(socket=str(occupied))).encode())

    assert (0, RESULT) == (done.returncode, done.stdout)


@pytest.mark.parametrize("stream", ["1>&-", "1>/dev/full"])
def test_an_answer_that_cannot_be_written_is_no_success(launcher: Launcher, stream: str) -> None:
    """A sentence on standard error says why."""
    with agent(launcher.socket, answering(ipc.answer(0, RESULT))) as calls:
        script = f"exec {launcher.program} {stream}"
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            env=ENVIRON,
            input=json.dumps(launcher.conf()).encode(),
            capture_output=True,
            check=False,
        )

        assert (1, b"") == (done.returncode, done.stdout)
        assert done.stderr.startswith(b"slash80: the answer cannot be written to standard output: ")
        assert len(calls) == (0 if stream == "1>&-" else 1)
