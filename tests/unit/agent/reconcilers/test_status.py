"""Part `status`: the Node object shows what should be seen, or the problem says why not."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from lab.kube import FakeApi, node
from slash80.agent.reconcilers.board import NEEDED, Outcome
from slash80.agent.reconcilers.part import attempt
from slash80.agent.reconcilers.status import Status
from slash80.cluster.api import Api
from slash80.cluster.credentials import ClientConfig
from slash80.desired.node import Desired
from slash80.desired.problems import Reason
from slash80.settings.cluster import ClusterSettings
from unit.agent.reconcilers.fakes import V6, FakeSource, Setting, seen

NODES, TAINT = "/api/v1/nodes", "slash80.io/not-ready"
DESIRED = Desired({"ipv6": [{"prefix": V6, "state": "active"}], "ipv4": []}, {}, (), (), ())


@pytest.fixture
def server() -> Iterator[FakeApi]:
    """Provide an API server with the Node, which has our taint."""
    fake = FakeApi()
    fake.put(NODES, node("a") | {"spec": {"taints": [{"key": TAINT}]}})
    yield fake
    fake.stop()


@dataclass
class Day:
    """What the clock on the wall shows."""

    now: datetime = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def day() -> Day:
    """Return the clock."""
    return Day()


@pytest.fixture
def part(server: FakeApi, setting: Setting, day: Day) -> Status:
    """Return the part on a node that is known."""
    setting.sources.given = FakeSource([seen("a", taints=(TAINT,))])
    setting.cluster.follow(ClusterSettings())
    return Status(setting.around, Api(ClientConfig(server.start())), lambda: day.now)


def test_a_ready_node_is_shown_as_one(part: Status, server: FakeApi, setting: Setting) -> None:
    """Prefixes, conditions and taint are patched; the verdict is that of the parts."""
    for name in NEEDED:
        setting.board.post(name, Outcome(in_force=True))
    setting.board.want(DESIRED)
    setting.board.miss(("10.80.2.0/24",))
    assert attempt(part, setting.around)

    found = server.objects[NODES]["a"]
    assert json.dumps([V6]) == found["metadata"]["annotations"]["slash80.io/prefixes"]
    assert [] == found["spec"]["taints"]
    conditions = {one["type"]: one for one in found["status"]["conditions"]}
    assert "False" == conditions["NetworkUnavailable"]["status"]
    assert "10.80.2.0/24" in conditions["Slash80IPv4Routed"]["message"]
    assert "2026-01-02T00:00:00Z" == conditions["NetworkUnavailable"]["lastTransitionTime"]


def test_a_node_that_is_not_ready_keeps_its_taint(part: Status, server: FakeApi, setting: Setting) -> None:
    """The taint stays while one part of several is not in force."""
    for name in NEEDED[1:]:
        setting.board.post(name, Outcome(in_force=True))
    setting.board.want(DESIRED)
    assert attempt(part, setting.around)
    assert [{"key": TAINT}] == server.objects[NODES]["a"]["spec"]["taints"]


@pytest.mark.parametrize("known", ["node", "desired"])
def test_nothing_is_patched_before_both_are_known(part: Status, server: FakeApi, setting: Setting, known: str) -> None:
    """Without the Node there is nothing to compare with, without the desired state nothing to show."""
    if known == "desired":
        setting.board.want(DESIRED)
        setting.sources.given.objects = []
    assert attempt(part, setting.around)
    assert [] == server.seen


def test_a_token_that_may_label_nodes_is_a_problem(part: Status, server: FakeApi, setting: Setting, day: Day) -> None:
    """Without the admission policy a stolen token changes every Node; pods can be attached all the same."""
    server.restricted = False
    setting.board.want(DESIRED)
    assert attempt(part, setting.around)
    assert () == setting.board.outcome("status").problems  # the policy may have been applied together with the agent
    day.now += timedelta(seconds=30)
    assert attempt(part, setting.around)
    (problem,) = setting.board.outcome("status").problems
    assert Reason.RIGHTS_UNRESTRICTED == problem.reason
    assert setting.board.outcome("status").in_force

    server.restricted = True
    assert attempt(part, setting.around)
    assert () == setting.board.outcome("status").problems


def test_a_token_that_was_refused_is_tried_again_every_hour(
    part: Status, server: FakeApi, setting: Setting, day: Day
) -> None:
    """The API server is not asked at every run, and a policy that is deleted later is noticed."""
    setting.board.want(DESIRED)
    tries = []
    for minutes in (0, 59, 1):
        day.now += timedelta(minutes=minutes)
        attempt(part, setting.around)
        tries.append(sum("dryRun" in line for line in server.seen))

    assert [1, 1, 2] == tries


def test_a_try_that_fails_says_nothing_about_the_token(
    part: Status, server: FakeApi, setting: Setting, day: Day
) -> None:
    """A server that is overloaded, or a webhook that takes no dry run, neither permits nor refuses."""
    server.restricted = False
    setting.board.want(DESIRED)
    attempt(part, setting.around)
    day.now += timedelta(hours=2)
    server.faults = [200, 200, 500]
    assert attempt(part, setting.around)
    assert [Reason.RIGHTS_UNRESTRICTED] == [one.reason for one in setting.board.outcome("status").problems]
    server.restricted, server.faults = True, [200, 200, 400]
    assert attempt(part, setting.around)
    assert [Reason.RIGHTS_UNRESTRICTED] == [one.reason for one in setting.board.outcome("status").problems]


@pytest.mark.parametrize("status", [403, 500])
def test_a_patch_that_is_refused_is_a_problem(part: Status, server: FakeApi, setting: Setting, status: int) -> None:
    """The sentence names the node and has the server's words; it is retried with growing intervals."""
    setting.board.want(DESIRED)
    server.faults = [status]
    assert not attempt(part, setting.around)
    (problem,) = setting.board.outcome("status").problems
    assert Reason.STATUS_FAILED == problem.reason
    assert f"the status of node a cannot be set: {status} as the test wants it" == problem.message
    assert attempt(part, setting.around)
    assert () == setting.board.outcome("status").problems
