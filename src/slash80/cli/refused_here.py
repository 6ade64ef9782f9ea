"""The NetworkPolicies that this node's kernel refuses, as its agent has reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from slash80.agent import files
from slash80.desired.problems import Reason
from slash80.policy.model import Pod, Policy


@dataclass(frozen=True, slots=True)
class RefusedHere:
    """The node's name, and why each of the policies is refused, which are named as NAMESPACE/NAME."""

    node: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)

    def in_force(self, policies: Iterable[Policy], pods: Iterable[Pod]) -> list[Policy]:
        """Return the policies of some pods as they are in force: one that is refused allows nothing on this node."""
        here = {pod.namespace for pod in pods if self.node and pod.node == self.node}
        reasons = {name: reason for name, reason in self.reasons.items() if name.partition("/")[0] in here}
        return [replace(one, broken=reasons[str(one)]) if str(one) in reasons else one for one in policies]


def read(state_dir: Path) -> RefusedHere:
    """Read the agent's report; without one nothing is refused."""
    report = files.read(state_dir / files.REPORT) or {}
    problems = [one for one in report.get("problemDetails", ()) if one["reason"] == Reason.POLICY_REFUSED]
    reasons = {one["subject"].removeprefix("NetworkPolicy "): one["message"] for one in problems}
    return RefusedHere(str(report.get("node", "")), reasons)
