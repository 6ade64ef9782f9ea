"""Part `report`: `agent.json` for `slash80 status`, and the answers to the kubelet's probes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from slash80.agent import files
from slash80.agent.health import Health
from slash80.agent.policy_gate import PolicyGate
from slash80.agent.reconcilers.board import IN_FORCE, Outcome
from slash80.agent.reconcilers.part import Surroundings
from slash80.desired.members import Trust
from slash80.desired.problems import Reason, documents, sentences


class Report:
    """Gathers what all parts say, on this node alone: no API server keeps an operator from reading it."""

    name, reason = "report", Reason.REPORT_FAILED

    def __init__(self, around: Surroundings, health: Health, gate: PolicyGate) -> None:
        """Do nothing yet."""
        self._around, self._health, self._gate = around, health, gate

    def reconcile(self) -> Outcome:
        """Have everything reported that is known now."""
        board, cluster = self._around.board, self._around.cluster
        found = [*board.problems, *cluster.problems]
        self._health.ready(ready=board.ready, problems=found)
        desired = board.desired
        routes = desired.routes if desired else ()
        report: dict[str, Any] = {
            "node": self._around.options.node,
            "known": cluster.own is not None,
            "ready": board.ready,
            "sources": desired.sources if desired else {},
            "kubeletsTrusted": list(desired.believed) if desired else [],
            "policies": {**asdict(board.policy_counts), **asdict(self._gate.counts())},
            "clusterset": _clusterset(desired.trust) if desired else {},
            "routes": [{"dst": str(route.dst), "gateway": str(route.gateway)} for route in routes],
            "problems": sentences(found),
            "problemDetails": documents(found),
        }
        with self._around.opened() as host:
            report["policies"]["expected"] = host.expected.used if host.expected else 0
        path = self._around.state_dir / files.REPORT
        if files.read(path) != report:
            files.write(path, files.text(report))
        return IN_FORCE


def _clusterset(trust: Trust) -> dict[str, Any]:
    """Return the clusterset as the node has it; empty without one."""
    if not trust.name:
        return {}
    members = [
        {"id": one.id, "prefixes": [*map(str, one.prefixes)], "trusted": not one.refusal, "reason": one.refusal}
        for one in trust.members
    ]
    return {"name": trust.name, "here": trust.here, "members": members}
