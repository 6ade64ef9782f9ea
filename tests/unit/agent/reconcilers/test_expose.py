"""Part `expose`: calls know which namespaces may open ports, and pods that run follow."""

import json
from typing import Any

from slash80.addressing.attachment import Pod
from slash80.addressing.openings import Openings
from slash80.addressing.ports import PortRange
from slash80.agent.reconcilers.board import Outcome
from slash80.agent.reconcilers.expose import Expose
from slash80.agent.reconcilers.part import attempt
from slash80.desired.problems import Reason
from slash80.settings import policy
from slash80.settings.cluster import ClusterSettings, PolicySettings
from unit.agent.reconcilers.fakes import Setting
from unit.builders import attachment

CLOSED = Openings(expose=(PortRange("tcp", 443, 443),))


def look(setting: Setting, **firewall: Any) -> Outcome:  # noqa: ANN401 -- any key
    """Have the part look once, on a node with these keys of `firewall`."""
    setting.write_node_file(**firewall)
    setting.board.enforce(PolicySettings())
    attempt(Expose(setting.around), setting.around)
    return setting.board.outcome("expose")


def told(setting: Setting) -> frozenset[str] | None:
    """Return what calls are told."""
    return policy.may_expose(setting.state_dir)


def opened(setting: Setting) -> list[str]:
    """Return the namespaces of pods whose ports are open."""
    return sorted(one.pod.namespace for one in setting.host.store.attachments() if one.openings.exposed)


def pods(setting: Setting) -> None:
    """Have a pod in each of two namespaces that asks for a port."""
    for number, namespace in enumerate(("team-a", "team-b")):
        setting.host.store.keep(attachment(number + 1, openings=CLOSED, pod=Pod(namespace, "p")))


def test_without_node_json_it_waits(setting: Setting) -> None:
    """Nothing is in force then, and the part `node` says what is waited for."""
    setting.cluster.follow(ClusterSettings())
    assert attempt(Expose(setting.around), setting.around)
    assert Outcome(in_force=False) == setting.board.outcome("expose")
    assert told(setting) is None


def test_labels_open_and_close_ports_of_pods_that_run(setting: Setting) -> None:
    """At the next look, to which the list of namespaces wakes the part."""
    setting.cluster.follow(ClusterSettings())
    pods(setting)
    assert Outcome(in_force=True) == look(setting)
    assert frozenset({"team-a"}) == told(setting)
    assert ["team-a"] == opened(setting)

    setting.sources.exposing.objects = ["team-b"]
    look(setting)
    assert frozenset({"team-b"}) == told(setting)
    assert ["team-b"] == opened(setting)
    assert 0o600 == (setting.state_dir / policy.NAME).stat().st_mode & 0o777


def test_a_list_that_is_not_complete_changes_nothing(setting: Setting) -> None:
    """What an agent of before has told stays in force, and after a boot there is nothing."""
    setting.cluster.follow(ClusterSettings())
    pods(setting)
    setting.sources.exposing.synced = False
    assert Outcome(in_force=True) == look(setting)
    assert told(setting) is None
    assert [] == opened(setting)

    (setting.state_dir / policy.NAME).write_text(
        json.dumps(policy.document(enforced=False, isolated=(), may_expose=["team-b"]))
    )
    look(setting)
    assert frozenset({"team-b"}) == told(setting)
    assert ["team-b"] == opened(setting)


def test_the_file_is_written_only_when_it_changes(setting: Setting) -> None:
    """A look every ten seconds writes nothing."""
    setting.cluster.follow(ClusterSettings())
    look(setting)
    before = (setting.state_dir / policy.NAME).stat()
    look(setting)
    assert before == (setting.state_dir / policy.NAME).stat()


def test_what_labels_said_is_gone_when_they_do_not_decide(setting: Setting) -> None:
    """Or it would count again later, before the labels of then are known."""
    setting.cluster.follow(ClusterSettings())
    pods(setting)
    look(setting)
    look(setting, exposeFrom="all")
    assert told(setting) is None
    assert ["team-a", "team-b"] == opened(setting)
    look(setting, exposeFrom="none")
    assert [] == opened(setting)

    setting.sources.exposing.synced = False
    look(setting)
    assert told(setting) is None
    assert [] == opened(setting)


def test_of_ten_thousand_namespaces_and_more_some_are_left_out(setting: Setting) -> None:
    """The file stays one that its readers take, and the problem says what helps."""
    setting.cluster.follow(ClusterSettings())
    setting.sources.exposing.objects = [f"{number:063}" for number in range(10_001)]
    (problem,) = look(setting).problems

    assert Reason.EXPOSE_FAILED == problem.reason
    assert "no room for 1 namespaces" in problem.message
    assert 10_000 == len(told(setting) or ())
