"""The gate at which ADDs wait for their pods' policies, and their side of it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from lab.waiting import wait_until
from slash80.agent import policy_gate
from slash80.agent.policy_gate import GateCounts, PolicyGate
from slash80.host.policy_question import PolicyQuestion
from unit.builders import attachment

ONE, TWO, THREE = (attachment(number).host_ifname for number in (1, 2, 3))
HOURS = 10_000.0


class Controller:
    """Answers nothing by itself; it counts how often it was woken."""

    def __init__(self) -> None:
        self.woken = threading.Semaphore(0)

    def wake(self) -> None:
        """Be woken."""
        self.woken.release()


@pytest.fixture
def controller() -> Controller:
    """Return what the gate wakes."""
    return Controller()


@pytest.fixture
def gate(tmp_path: Path, controller: Controller) -> Iterator[PolicyGate]:
    """Provide a gate that is open, and whose waiters it never gives up."""
    gate = PolicyGate(tmp_path, controller.wake, patience=HOURS)
    gate.start()
    yield gate
    gate.stop()


@pytest.fixture
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Questions"]:
    """Provide what asks questions, waits for their answers as long as it takes, and ends them after the test."""
    monkeypatch.setattr("slash80.host.policy_question.SECONDS", HOURS)
    with ExitStack() as stack:
        yield Questions(tmp_path, stack)


class Questions:
    """The ADDs' side."""

    def __init__(self, state_dir: Path, stack: ExitStack) -> None:
        self.state_dir, self._stack = state_dir, stack

    def ask(self, host_ifname: str) -> PolicyQuestion:
        """Ask one."""
        question = self._stack.enter_context(closing(PolicyQuestion(self.state_dir)))
        question.ask(host_ifname)
        return question

    def connect(self, text: bytes = b"") -> socket.socket:
        """Connect as something else, and say this."""
        connection = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        connection.connect(str(self.state_dir / "policy.sock"))
        connection.send(text)
        return connection


def test_an_add_goes_on_when_the_controller_is_done(
    gate: PolicyGate, controller: Controller, questions: Questions
) -> None:
    """The controller is woken by each question, sees in which order they came, and answers those that it names."""
    asked = {}
    for name in (TWO, ONE, THREE):
        asked[name] = questions.ask(name)
        controller.woken.acquire()
    assert [TWO, ONE, THREE] == gate.pending()

    gate.done([ONE, THREE])
    assert [True, True] == [asked[name].answered() for name in (ONE, THREE)]
    assert [TWO] == gate.pending()
    counts = gate.counts()
    assert (3, 2, 0, 0) == (counts.asked, counts.answered, counts.unanswered, counts.refused)
    assert counts.milliseconds > 0


def test_two_adds_of_one_interface_are_answered_together(
    gate: PolicyGate, controller: Controller, questions: Questions
) -> None:
    """A runtime may repeat an ADD while the first one still waits."""
    both = [questions.ask(ONE), questions.ask(ONE)]
    for _ in both:
        controller.woken.acquire()
    assert [ONE] == gate.pending()

    gate.done([ONE])
    assert [True, True] == [one.answered() for one in both]


def test_an_answer_that_comes_late_meets_no_other_add(
    gate: PolicyGate, controller: Controller, questions: Questions
) -> None:
    """An ADD that has gone on counts as unanswered, and the next one of the same interface waits for its own answer."""
    with closing(PolicyQuestion(questions.state_dir)) as gone:
        gone.ask(ONE)
        controller.woken.acquire()
    wait_until(lambda: gate.counts().unanswered == 1)
    gate.done([ONE])
    assert 0 == gate.counts().answered

    again = questions.ask(ONE)
    controller.woken.acquire()
    assert [ONE] == gate.pending()
    gate.done([ONE])
    assert again.answered()


class Time:
    """A clock that stands still until a test sets it."""

    now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


def test_who_is_not_answered_is_let_go(gate: PolicyGate, questions: Questions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A controller that hangs keeps no connection: after the gate's patience each is closed without an answer."""
    time = Time()
    monkeypatch.setattr(policy_gate, "time", time)
    silent, asked = questions.connect(), questions.ask(ONE)
    wait_until(lambda: gate.pending() == [ONE])
    time.now = HOURS
    questions.connect()  # whose patience begins now; the gate looks at the others as well
    assert not asked.answered()
    assert b"" == silent.recv(1)
    wait_until(lambda: gate.counts() == GateCounts(asked=1, unanswered=1, refused=1))
    assert [] == gate.pending()


@pytest.mark.parametrize("text", [b"s80\n", b"x" * 16, b"../../etc/passwd\n", ONE.upper().encode() + b"\n", b"\n" * 17])
def test_what_is_no_question_is_refused(gate: PolicyGate, questions: Questions, text: bytes) -> None:
    """It wakes nothing, and those that come after it are served."""
    connection = questions.connect(text)
    connection.shutdown(socket.SHUT_WR)
    assert b"" == connection.recv(1)
    wait_until(lambda: gate.counts() == GateCounts(refused=1))
    questions.ask(ONE)
    wait_until(lambda: gate.pending() == [ONE])


def test_a_question_may_come_in_pieces(gate: PolicyGate, controller: Controller, questions: Questions) -> None:
    """A stream keeps no boundaries of messages."""
    connection = questions.connect(ONE[:5].encode())
    connection.send(ONE[5:].encode())
    connection.send(b"\n")
    controller.woken.acquire()
    gate.done([ONE])
    assert b"\n" == connection.recv(1)


def test_too_many_are_let_go_at_once(gate: PolicyGate, questions: Questions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait already are not disturbed."""
    monkeypatch.setattr(policy_gate, "_WAITERS", 1)
    first = questions.ask(ONE)
    wait_until(lambda: gate.pending() == [ONE])
    assert not questions.ask(TWO).answered()
    wait_until(lambda: gate.counts() == GateCounts(asked=1, refused=1))
    gate.done([ONE])
    assert first.answered()


def test_without_a_controller_nothing_is_waited_for(tmp_path: Path, questions: Questions) -> None:
    """Neither where there is no socket, nor where a killed agent has left one."""
    assert not questions.ask(ONE).answered()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "policy.sock"))
        left.listen()
    assert not questions.ask(ONE).answered()


def test_an_add_waits_for_a_controller_that_hangs_only_so_long(
    tmp_path: Path, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has connected, and nothing ever accepts."""
    monkeypatch.setattr("slash80.host.policy_question.SECONDS", 0.01)
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(tmp_path / "policy.sock"))
        hanging.listen()
        assert not questions.ask(ONE).answered()


def test_a_full_line_is_not_waited_for(tmp_path: Path, questions: Questions) -> None:
    """Where no more connections can wait to be accepted, an ADD goes on at once."""
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(tmp_path / "policy.sock"))
        hanging.listen(0)
        questions.ask(ONE)
        assert not questions.ask(TWO).answered()


def test_the_socket_is_for_root_alone_and_goes_with_the_gate(tmp_path: Path, controller: Controller) -> None:
    """A socket that a killed agent left is replaced; those that wait when the gate is closed go on."""
    path = tmp_path / "policy.sock"
    path.write_text("left")
    gate = PolicyGate(tmp_path, controller.wake, patience=HOURS)
    gate.start()
    assert 0o600 == path.stat().st_mode & 0o777
    with closing(PolicyQuestion(tmp_path)) as question:
        question.ask(ONE)
        controller.woken.acquire()
        gate.stop()
        assert not question.answered()
    assert not path.exists()
    assert GateCounts(asked=1, unanswered=1) == gate.counts()


def test_a_gate_that_never_started_can_be_stopped(tmp_path: Path, controller: Controller) -> None:
    """As of a controller whose start fails."""
    PolicyGate(tmp_path, controller.wake).stop()


def test_the_way_to_the_socket_may_be_long(tmp_path: Path, controller: Controller) -> None:
    """The address of a Unix socket has 107 bytes."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    gate = PolicyGate(folder, controller.wake, patience=HOURS)
    gate.start()
    try:
        with closing(PolicyQuestion(folder)) as question:
            question.ask(ONE)
            controller.woken.acquire()
            gate.done([ONE])
            assert question.answered()
    finally:
        gate.stop()
