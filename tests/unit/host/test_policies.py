"""How an interface begins under policies, by what the state directory says and with few questions."""

import json
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from slash80.addressing.attachment import Attachment, Key, Pod
from slash80.errors import FirewallUnusable
from slash80.firewall.elements import of_attachments
from slash80.host import policies, unpoliced
from slash80.host.context import Host
from slash80.host.expected_verdicts import ExpectedVerdicts, Verdicts
from slash80.host.policy_question import ANSWER, SOCKET_NAME
from slash80.policy.direction import Direction
from slash80.policy.records import ACCEPT, CLOSED, Dispatched
from slash80.settings import policy
from slash80.settings.policy import PolicyFile
from unit.builders import attachment, host_in
from unit.kernels import Kernel
from unit.wiring.plans import link

SOME = PolicyFile(enforced=True, isolated=frozenset({"isolated"}))
ALL = PolicyFile(enforced=True, isolated=None)
ISOLATED, OTHER = (attachment(pod=Pod(namespace, "web-0", "uid")) for namespace in ("isolated", "other"))
PLAIN, RECOVERED = attachment(pod=Pod()), attachment(pod=Pod(), netns="")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a host without policies, on which that table cannot be opened."""
    monkeypatch.setattr(policies, "_table", lambda _: pytest.fail("the table of policies was opened"))
    host = host_in(tmp_path / "state", Kernel({}))
    host.store.attachments()
    return host


def tell(host: Host, *isolated: str, enforced: bool) -> None:
    """Write what the controller writes."""
    document = policy.document(enforced=enforced, isolated=isolated, may_expose=None)
    (host.locks.state_dir / policy.NAME).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("said", "one", "closed"),
    [
        *((SOME, ISOLATED, True), (SOME, OTHER, False), (ALL, OTHER, True), (None, OTHER, True)),
        *((said, PLAIN, False) for said in (SOME, ALL, None)),
        *((said, RECOVERED, True) for said in (SOME, ALL, None)),
        *((PolicyFile(enforced=True, isolated=frozenset()), one, False) for one in (ISOLATED, PLAIN, RECOVERED)),
    ],
)
def test_who_begins_closed(said: PolicyFile | None, one: Attachment, *, closed: bool) -> None:
    """Pods of namespaces with policies do, all where these are not known, and those of which the pod is not known."""
    assert closed == policies.begins_closed(said, one)


@pytest.mark.parametrize("from_node", [True, False])
def test_a_cluster_without_policies_costs_a_look_at_a_file(
    host: Host, monkeypatch: pytest.MonkeyPatch, *, from_node: bool
) -> None:
    """Neither the table nor the controller is asked anything."""
    tell(host, enforced=False)
    monkeypatch.setattr(type(host.table), "has_policies", lambda _: pytest.fail("the kernel was asked"))
    assert not policies.dispatch(host, ISOLATED, of_attachments([ISOLATED]), from_node=from_node)


def test_a_network_of_its_own_asks_the_kernel_where_no_agent_is(host: Host) -> None:
    """Another state directory's agent may have put a table there, which drops what it does not know."""
    assert not policies.dispatch(host, ISOLATED, of_attachments([ISOLATED]), from_node=False)
    host.table.policies = True  # type: ignore[attr-defined]
    with pytest.raises(pytest.fail.Exception, match="was opened"):
        policies.dispatch(host, ISOLATED, of_attachments([ISOLATED]), from_node=False)


def test_nothing_is_restored_where_nothing_is_enforced(host: Host) -> None:
    """Neither without the file, which a plain node never has, nor where it says so."""
    policies.restore(host)
    tell(host, enforced=False)
    policies.restore(host)


def test_those_that_ran_before_are_noted_once(tmp_path: Path) -> None:
    """A pod that comes later is none of them, nor is a link that is not complete yet."""
    kernel = Kernel({"ip link show": [link("s80aaaaaaaaaaaa"), link("s80bbbbbbbbbbbb", 6, ifalias=None)]})
    host = host_in(tmp_path, kernel)
    assert frozenset({"s80aaaaaaaaaaaa"}) == unpoliced.noted(host, anew=True)
    kernel._answers["ip link show"] = [link("s80cccccccccccc")]
    assert frozenset({"s80aaaaaaaaaaaa"}) == unpoliced.noted(host, anew=True)
    assert 0o600 == (tmp_path / unpoliced.NAME).stat().st_mode & 0o777


@pytest.mark.parametrize("text", ["", "{", "{}", "7", "[[]]"])
def test_a_note_that_cannot_be_read_names_no_one(tmp_path: Path, text: str) -> None:
    """Then these pods are closed too until the controller comes."""
    (tmp_path / unpoliced.NAME).write_text(text)
    assert frozenset() == unpoliced.noted(host_in(tmp_path, Kernel({})), anew=True)


def test_where_there_is_a_table_no_one_ran_without_policies(tmp_path: Path) -> None:
    """It says of each pod what may be, and if it goes later all are closed."""
    host = host_in(tmp_path, Kernel({"ip link show": [link("s80aaaaaaaaaaaa")]}))
    assert frozenset() == unpoliced.noted(host, anew=False)
    assert frozenset() == unpoliced.noted(host, anew=True)


class Controller:
    """Takes one question, and answers it or not."""

    def __init__(self, state_dir: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(state_dir / SOCKET_NAME))
        self._listener.listen()

    def answer(self) -> None:
        """Let the ADD go on."""
        connection, _ = self._listener.accept()
        with connection:
            connection.send(ANSWER)

    def close(self) -> None:
        """Go away."""
        self._listener.close()


@pytest.fixture
def controller(host: Host) -> Iterator[Controller]:
    """Provide a controller that listens."""
    with closing(Controller(host.locks.state_dir)) as controller:
        yield controller


def admission(host: Host, monkeypatch: pytest.MonkeyPatch, aside: policies.Aside) -> policies.Admission:
    """Return that of an ADD that has closed its interface and asked, and waits for as long as it takes."""
    monkeypatch.setattr(policies, "dispatch", lambda *_, **__: policies._NOT_YET)
    monkeypatch.setattr("slash80.host.policy_question.SECONDS", 1000)
    found = policies.Admission(host, SimpleNamespace(from_node=True), ISOLATED, aside=aside)  # type: ignore[arg-type]
    found.dispatch([])
    return found


def test_an_answer_that_is_late_is_waited_for_aside(
    host: Host, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread takes the calls behind it meanwhile."""
    asides: list[str] = []

    @contextmanager
    def aside() -> Iterator[bool]:
        controller.answer()
        asides.append("begun")
        yield True
        asides.append("ended")

    with admission(host, monkeypatch, aside) as one:
        one.wait()
    assert ["begun", "ended"] == asides


def test_an_answer_that_is_at_hand_costs_no_thread(
    host: Host, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is the usual case: the labels were there before the ADD."""
    with admission(host, monkeypatch, lambda: pytest.fail("it steps aside")) as one:
        controller.answer()
        one.wait()


def test_where_too_many_wait_the_pod_begins_closed(
    host: Host, controller: Controller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its ADD goes on at once, and the log says so."""
    with admission(host, monkeypatch, lambda: nullcontext(False)) as one:  # noqa: FBT003 -- what it yields
        one.wait()
    assert "begins closed" in caplog.text


def test_without_a_controller_nothing_is_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine, while no agent runs."""
    with admission(host, monkeypatch, lambda: pytest.fail("it steps aside")) as one:
        one.wait()


class Dispatching:
    """The policies' table, in which keys have verdicts; it refuses chains that it does not have."""

    def __init__(self, chains: Collection[str] = ("e4", "e6", "i4", "i6", ACCEPT, CLOSED)) -> None:
        self.chains, self.verdicts = chains, dict[Dispatched, str]()

    def dispatch(self, verdicts: Mapping[Dispatched, str]) -> Mapping[Dispatched, str] | None:
        """Set those that are missing."""
        if not {*verdicts.values()} <= {*self.chains}:
            raise FirewallUnusable("no such chain")
        there = {key: self.verdicts[key] for key in verdicts if key in self.verdicts}
        self.verdicts = {**verdicts, **self.verdicts}
        return there


def begun(host: Host, monkeypatch: pytest.MonkeyPatch, table: Dispatching, said: Verdicts, *more: Attachment) -> str:
    """Return why a pod begins closed of which the controller has said this; `more` are of its container."""
    tell(host, "isolated", enforced=True)
    host.expected = ExpectedVerdicts()
    host.expected.write([(ISOLATED.pod, said)])
    monkeypatch.setattr(policies, "_table", lambda _: table)
    return policies.dispatch(host, ISOLATED, of_attachments([ISOLATED, *more]), from_node=True)


def test_a_pod_that_is_expected_does_not_begin_closed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each direction and family leads where the controller has said."""
    table = Dispatching()
    assert not begun(host, monkeypatch, table, Verdicts("e4", "e6", "i4", ACCEPT))
    found = {(key.direction, key.address.version): verdict for key, verdict in table.verdicts.items()}
    assert {
        (Direction.EGRESS, 4): "e4",
        (Direction.EGRESS, 6): "e6",
        (Direction.INGRESS, 4): "i4",
        (Direction.INGRESS, 6): ACCEPT,
    } == found


def test_a_pod_is_closed_whose_chain_is_gone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program has put back the table of before, for example; the next pod does not try it."""
    table = Dispatching((ACCEPT, CLOSED))
    assert begun(host, monkeypatch, table, Verdicts("e4", "e6", "i4", "i6"))
    assert {CLOSED} == {*table.verdicts.values()}
    assert host.expected
    assert host.expected.use(ISOLATED.pod) is None


def test_a_pod_asks_that_is_led_elsewhere_already(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ADD before this one has died after it had closed the pod, and only the controller changes that."""
    table = Dispatching()
    assert begun(host, monkeypatch, table, Verdicts("", "", "", ""))
    assert begun(host, monkeypatch, table, Verdicts("e4", "e6", "i4", "i6"))
    assert {CLOSED} == {*table.verdicts.values()}


def test_a_pod_asks_of_whose_family_nothing_was_said(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prefix of that family may have come to the node since."""
    table = Dispatching()
    assert begun(host, monkeypatch, table, Verdicts("e4", "", "i4", ""))
    assert {CLOSED} == {*table.verdicts.values()}


def test_a_second_interface_asks(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """By it the first one's ways change as well."""
    net1 = attachment(2, key=Key(ISOLATED.key.container_id, "net1"), pod=ISOLATED.pod)
    assert begun(host, monkeypatch, Dispatching(), Verdicts("e4", "e6", "i4", "i6"), net1)
