"""The parts put together: each runs, fails and paces alone, in the order that a pod needs."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from pytest_mock import MockerFixture

from lab.kube import NAMESPACES, POLICIES, FakeApi, namespace, node, policy
from lab.waiting import wait_until
from slash80.addressing.openings import ALLOW_EXPOSE
from slash80.agent.reconcilers import controller
from slash80.agent.reconcilers.board import Outcome
from slash80.agent.reconcilers.controller import Controller
from slash80.agent.serve.resources import HostPool
from slash80.agent.shared import Shared
from slash80.cluster.api import Api
from slash80.cluster.credentials import ClientConfig
from slash80.cluster.runner import Runner
from slash80.desired.problems import Reason
from slash80.firewall.records import Ruleset
from slash80.host.context import Host
from slash80.settings.cluster import ClusterSettings
from slash80.settings.network import RemovalConf
from unit.agent.reconcilers.fakes import V4, V6, FakeHost, Setting
from unit.clocks import ManualClock, SteppedClock
from unit.host.tables import FakeTable

NODES, CIDRS = "/api/v1/nodes", "/apis/networking.k8s.io/v1/servicecidrs"
PARTS = ("node", "policies", "waiting", "revocation", "firewall", "routes", "expose", "conflist", "status", "report")


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the parts much time to end, which a busy machine may take."""
    monkeypatch.setattr(controller, "_END", 100)


@pytest.fixture
def server() -> Iterator[FakeApi]:
    """Provide an API server with the node."""
    fake = FakeApi()
    fake.put(NODES, node("a", cidrs=[V6, V4], addresses=["192.0.2.1"]))
    fake.put(CIDRS, {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16"]}})
    yield fake
    fake.stop()


class Started:
    """A controller, and the clock that it lives by."""

    def __init__(self, setting: Setting, server: FakeApi) -> None:
        self.setting, self.clock = setting, ManualClock()
        api = Api(ClientConfig(server.start()))
        options = setting.around.options
        self.controller = Controller(
            options, setting.state_dir, api, shared=Shared(self.opened), make_keeper=setting.keeper, clock=self.clock
        )

    def opened(self, conf: RemovalConf) -> AbstractContextManager[Host]:
        """Hand out the host of the state directory."""
        assert self.setting.state_dir == conf.state_dir
        return self.setting.opened()

    def until(self, condition: Callable[[], object]) -> None:
        """Let little time pass, again and again, until something is so."""

        def passing() -> bool:
            self.clock.advance(0.25)
            return bool(condition())

        wait_until(passing)

    def runs_again(self) -> None:
        """Wait until the firewall's part has run once more."""
        before = len(self.setting.host.ensured)
        self.until(lambda: len(self.setting.host.ensured) > before)

    def reported(self, key: str) -> object:
        """Return what the report says."""
        path = self.setting.state_dir / "agent.json"
        return json.loads(path.read_text())[key] if path.exists() else None


@pytest.fixture
def started(setting: Setting, server: FakeApi) -> Iterator[Started]:
    """Start a controller in all its threads, and end them."""
    found = Started(setting, server)
    found.controller.start()
    yield found
    assert found.controller.stop()


def test_a_node_becomes_ready_by_its_parts_waking_each_other(started: Started, server: FakeApi) -> None:
    """The API's first list leads over node.json, firewall and conflist to the status of the Node object."""
    started.until(lambda: "annotations" in server.objects[NODES]["a"]["metadata"])
    started.until(lambda: started.reported("ready"))
    assert [] == started.reported("problems")
    assert {V6: "spec", V4: "spec"} == started.reported("sources")


class Bell:
    """Stands for a runner, and notes that it is woken."""

    def __init__(self, name: str, woken: set[str]) -> None:
        self.name, self._woken = name, woken

    def wake(self) -> None:
        """Note it."""
        self._woken.add(self.name)


@pytest.fixture
def woken(setting: Setting, server: FakeApi) -> tuple[Controller, set[str]]:
    """Return a controller that is not started, and the parts that were woken."""
    found, names = Started(setting, server).controller, set[str]()
    found._runners = {name: Bell(name, names) for name in PARTS}  # type: ignore[misc]
    return found, names


@pytest.mark.parametrize(
    ("part", "others"),
    [
        ("node", {"policies", "firewall", "routes", "expose", "conflist", "status", "report"}),
        ("policies", {"node", "report"}),
        ("waiting", {"report"}),
        ("revocation", {"report"}),
        ("firewall", {"conflist", "status", "report"}),
        ("routes", {"status", "report"}),
        ("expose", {"report"}),
        ("conflist", {"status", "report"}),
        ("status", {"report"}),
        ("report", set()),
    ],
)
def test_a_part_wakes_those_that_wait_for_it(woken: tuple[Controller, set[str]], part: str, others: set[str]) -> None:
    """Without it they would run ten seconds later, and a pod would wait for that long; no part wakes itself."""
    found, names = woken
    found._around.board.post(part, Outcome(in_force=True))
    assert others == names


def test_the_cluster_wakes_those_that_read_it(woken: tuple[Controller, set[str]]) -> None:
    """What is on the node is not looked at more often because many Nodes change."""
    found, names = woken
    found._cluster.follow(ClusterSettings())
    wait_until(lambda: found._cluster.own is not None)
    wait_until(lambda: names == {"node", "policies", "expose", "status", "report"})
    found._cluster.stop()


@pytest.mark.parametrize(
    ("kind", "changed", "readers"),
    [
        (NODES, node("b", cidrs=["2001:db8:0:2:1::/80"], addresses=["192.0.2.2"]), {"node", "status", "report"}),
        (
            CIDRS,
            {"metadata": {"name": "more"}, "spec": {"cidrs": ["10.97.0.0/16"]}},
            {"node", "status", "report"},
        ),
        (NAMESPACES, namespace("team-a", **{ALLOW_EXPOSE: "true"}), {"expose", "report"}),
        (POLICIES, policy("deny", "team-a"), {"policies", "report"}),
    ],
)
def test_a_change_of_any_list_wakes_those_that_read_it(
    woken: tuple[Controller, set[str]], server: FakeApi, kind: str, changed: dict[str, object], readers: set[str]
) -> None:
    """A node that joins, a range of Services and a label are in force before the ten seconds of the next look."""
    found, names = woken
    found._cluster.follow(ClusterSettings())
    cluster = found._cluster
    wait_until(lambda: None not in [cluster.own, cluster.services, cluster.exposing_namespaces, cluster.policies])
    wait_until(lambda: names == {"node", "policies", "expose", "status", "report"})

    def they_alone_are_woken() -> bool:
        names.clear()
        server.put(kind, changed)
        wait_until(lambda: readers <= names)
        server.remove(kind, next(reversed(server.objects[kind])))
        return names == readers

    wait_until(they_alone_are_woken)  # another list that was complete a moment ago may wake its readers once more
    found._cluster.stop()


@pytest.mark.parametrize(("part", "times"), [("policies", 2), ("waiting", 11)])
def test_changes_of_policies_are_gathered_for_a_tenth_of_a_second(part: str, times: int) -> None:
    """Ten within that time are one change of the table, after the first look; an ADD that asks never waits for that."""
    clock, looked = SteppedClock(), list[float]()

    def look() -> bool:
        looked.append(clock.now())
        return True

    runner = Runner(part, look, controller._PACES[part], clock=clock)
    for number in range(10):
        clock.at(0.005 + number / 100, runner.wake)
    while clock.now() < 1:
        runner.step()
    before = [time for time in looked if time < 1]
    assert times == len(before)
    assert 0.09 < before[-1] <= 0.1


def test_the_conflist_is_written_last(setting: Setting, server: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between any two steps must leave no runtime that sends pods to a node without firewall or prefixes."""
    found = Started(setting, server)
    conflist, node_file = setting.folder / "net.d/05-slash80.conflist", setting.state_dir / "node.json"
    there: list[tuple[bool, bool]] = []
    ensure = setting.host.ensure_firewall

    def watched(ruleset: Ruleset, network: str) -> bool:
        there.append((node_file.exists(), conflist.exists()))
        return ensure(ruleset, network)

    monkeypatch.setattr(setting.host, "ensure_firewall", watched)
    found.controller.start()
    found.until(conflist.exists)
    assert found.controller.stop()
    assert (True, False) == there[0]


def test_an_api_server_that_never_answers_delays_no_repair(started: Started, server: FakeApi) -> None:
    """A patch that hangs delays neither the firewall's repair nor probes and report."""
    server.mute = {"PATCH"}
    started.until(lambda: any(asked.startswith("PATCH") for asked in server.seen))
    started.until(lambda: started.reported("ready"))
    for _ in range(10):
        started.runs_again()

    assert 1 == sum(asked.startswith("PATCH") for asked in server.seen)
    assert 200 == started.controller._health.answer("/healthz")[0]
    assert 200 == started.controller._health.answer("/readyz")[0]


def test_an_api_server_that_never_answered_delays_no_repair(started: Started, server: FakeApi) -> None:
    """When not even the first list comes, what was in force before the agent started is kept."""
    server.mute = {"GET", "PATCH"}
    document = {"version": 1, "ipv6": [{"prefix": V6}], "ipv4": [{"prefix": V4}]}
    (started.setting.state_dir / "node.json").write_text(json.dumps(document))
    for _ in range(3):
        started.runs_again()
    started.until(lambda: started.reported("ready"))


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_breaks_stops_no_other(
    setting: Setting, server: FakeApi, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """When one part raises whatever it may, all others go on at their own pace, and it is tried again."""
    found = Started(setting, server)
    runs = dict.fromkeys(PARTS, 0)

    def counted(part: str, work: Callable[[], Outcome]) -> Callable[[], Outcome]:
        def reconcile() -> Outcome:
            runs[part] += 1
            if part == name:
                raise LookupError("broken by a test")
            return work()

        return reconcile

    for part in found.controller._parts:
        monkeypatch.setattr(part, "reconcile", counted(part.name, part.reconcile))
    found.controller.start()
    found.until(lambda: min(runs.values()) >= 3)
    assert found.controller.stop()
    problems = found.controller._around.board.outcome(name).problems
    assert [(Reason.INTERNAL_ERROR, name)] == [(problem.reason, problem.subject) for problem in problems]


def test_stopping_ends_all_threads_that_change_the_node(started: Started, server: FakeApi) -> None:
    """They end at once, although each would rest for seconds; one that waits for the API changes nothing here."""
    server.mute = {"PATCH"}
    started.until(lambda: any(asked.startswith("PATCH") for asked in server.seen))
    assert started.controller.stop()
    assert {"status"} >= {thread.name for thread in threading.enumerate() if thread.name in PARTS}
    done = len(started.setting.host.ensured)
    started.clock.advance(100)
    assert done == len(started.setting.host.ensured)


def test_a_part_that_hangs_fails_the_liveness_probe(
    setting: Setting, server: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet then restarts the agent, and `stop` reports that a part could not be waited for."""
    found = Started(setting, server)
    entered, leave = threading.Event(), threading.Event()
    firewall = next(part for part in found.controller._parts if part.name == "firewall")

    def hang() -> Outcome:
        entered.set()
        return Outcome(leave.wait(100))

    monkeypatch.setattr(firewall, "reconcile", hang)
    found.controller.start()
    assert entered.wait(100)
    found.until(lambda: found.controller._health.answer("/healthz")[0] == 503)
    with monkeypatch.context() as impatient:
        impatient.setattr(controller, "_END", 0.01)
        assert not found.controller.stop()
    leave.set()
    assert found.controller.stop()


def test_store_and_sockets_are_opened_once(setting: Setting, server: FakeApi, mocker: MockerFixture) -> None:
    """Each look works with what the agent keeps open for the thread, as calls do."""
    opened = mocker.patch("slash80.agent.serve.resources.netns.socket_here", return_value=setting.kernel)
    stores = mocker.patch("slash80.agent.serve.resources.store_in", return_value=setting.host.store)
    mocker.patch("slash80.agent.serve.resources.InstalledTable", return_value=FakeTable())
    mocker.patch.object(Host, "ensure_firewall", FakeHost.ensure_firewall)
    mocker.patch.multiple(Host, create=True, failure=None, ensured=[])
    pool = HostPool(setting.state_dir, mocker.Mock())
    api = Api(ClientConfig(server.start()))
    found = Controller(
        setting.around.options, setting.state_dir, api, shared=Shared(pool.opened), make_keeper=setting.keeper
    )
    for _ in range(3):
        found.look()
    wait_until(lambda: found._cluster.own is not None)
    found.look()
    assert found._around.board.outcome("node").in_force
    assert (1, 1) == (opened.call_count, stores.call_count)
    found.stop()
