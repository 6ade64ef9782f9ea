"""What an agent reports of policies that its node's kernel refuses."""

import json
from pathlib import Path

from slash80.cli import refused_here
from slash80.desired.problems import Problem, Reason, documents
from slash80.policy.model import Pod, Policy, Selector

ODD, FINE = Policy("shop", "odd", Selector()), Policy("shop", "fine", Selector())


def test_a_refused_policy_is_broken_for_pods_of_the_node_alone(tmp_path: Path) -> None:
    """Other nodes have it in force, and each other policy is in force here."""
    found = [Problem(Reason.POLICY_REFUSED, f"NetworkPolicy {ODD}", "refused"), Problem(Reason.NO_PREFIX, "a", "none")]
    (tmp_path / "agent.json").write_text(json.dumps({"node": "a", "problemDetails": documents(found)}))
    refused = refused_here.read(tmp_path)
    assert ["refused", ""] == [one.broken for one in refused.in_force([ODD, FINE], [Pod("shop", "web", node="a")])]
    for elsewhere in (Pod("shop", "web", node="b"), Pod("bank", "web", node="a")):
        assert [ODD, FINE] == refused.in_force([ODD, FINE], [elsewhere])


def test_without_a_report_nothing_is_refused(tmp_path: Path) -> None:
    """On a workstation, or where no agent has run."""
    pods = [Pod("shop", "pending")]
    assert [ODD] == refused_here.read(tmp_path).in_force([ODD], pods)
