"""Part `report`: what `slash80 status` and the probes are told."""

import json
from ipaddress import ip_address, ip_network
from typing import Any

from slash80.agent.health import Health, Metrics
from slash80.agent.reconcilers.board import NEEDED, Outcome
from slash80.agent.reconcilers.part import attempt
from slash80.agent.reconcilers.report import Report
from slash80.desired.node import Desired
from slash80.desired.problems import Problem, Reason
from slash80.settings.cluster import ClusterSettings
from slash80.wiring.plan import NodeRoute
from unit.agent.reconcilers.fakes import OTHER6, V6, Setting

PROBLEM = Problem(Reason.ROUTE_CONFLICT, "route", "a route is in the way; delete it")
DESIRED = Desired({}, {V6: "spec"}, (NodeRoute(ip_network(OTHER6), ip_address("2001:db8:1::2")),), (), ())


def _no_metrics() -> Metrics:
    raise AssertionError("a report makes no metrics")


def _report(setting: Setting) -> tuple[dict[str, Any], Health]:
    health = Health(("127.0.0.1", 0), lambda: 0, _no_metrics)
    attempt(Report(setting.around, health, setting.gate), setting.around)
    found: dict[str, Any] = json.loads((setting.state_dir / "agent.json").read_text())
    return found, health


def test_a_node_of_which_nothing_is_known_is_reported_so(setting: Setting) -> None:
    """An operator sees that the agent runs, and the kubelet that it is not ready."""
    found, health = _report(setting)
    assert {
        "node": "a",
        "known": False,
        "ready": False,
        "sources": {},
        "kubeletsTrusted": [],
        "policies": {
            "policies": 0,
            "isolated": 0,
            "rejected": 0,
            "invalid": 0,
            "asked": 0,
            "answered": 0,
            "unanswered": 0,
            "refused": 0,
            "milliseconds": 0.0,
            "expected": 0,
        },
        "clusterset": {},
        "routes": [],
        "problems": [],
        "problemDetails": [],
    } == found
    assert (503, {"ready": False, "problems": []}) == health.answer("/readyz")


def test_all_that_is_known_is_reported(setting: Setting) -> None:
    """Problems of parts and watches are sentences for people, and documents with reason and subject for programs."""
    for name in NEEDED:
        setting.board.post(name, Outcome(in_force=True))
    setting.board.post("routes", Outcome(in_force=False, problems=(PROBLEM,)))
    setting.board.want(DESIRED)
    setting.cluster.follow(ClusterSettings())
    setting.sources.given.problem = "the API server cannot be reached"
    found, health = _report(setting)

    assert (True, True, {V6: "spec"}) == (found["known"], found["ready"], found["sources"])
    assert [{"dst": OTHER6, "gateway": "2001:db8:1::2"}] == found["routes"]
    assert [PROBLEM.message, "the API server cannot be reached"] == found["problems"]
    assert {"reason": "RouteConflict", "subject": "route", "message": PROBLEM.message} == found["problemDetails"][0]
    assert ("WatchFailed", "/api/v1/nodes") == (
        found["problemDetails"][1]["reason"],
        found["problemDetails"][1]["subject"],
    )
    assert (200, {"ready": True, "problems": found["problems"]}) == health.answer("/readyz")


def test_the_report_is_written_only_when_it_changes(setting: Setting) -> None:
    """Every ten seconds the same words are no reason to write to a disk."""
    _report(setting)
    before = (setting.state_dir / "agent.json").stat()
    _report(setting)
    assert before == (setting.state_dir / "agent.json").stat()


def test_a_report_that_cannot_be_written_still_reaches_the_probes(setting: Setting) -> None:
    """The kubelet must not take a full disk for a node without network."""
    for name in NEEDED:
        setting.board.post(name, Outcome(in_force=True))
    (setting.state_dir / ".agent.json.tmp").mkdir()
    health = Health(("127.0.0.1", 0), lambda: 0, _no_metrics)
    assert not attempt(Report(setting.around, health, setting.gate), setting.around)
    assert 200 == health.answer("/readyz")[0]
    assert [Reason.REPORT_FAILED] == [problem.reason for problem in setting.board.outcome("report").problems]
