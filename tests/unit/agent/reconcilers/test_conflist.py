"""Part `conflist`: a runtime learns of the network when everything else is in force, and not before."""

from itertools import product

import pytest

from slash80.agent.reconcilers.board import Outcome
from slash80.agent.reconcilers.conflist import Conflist
from slash80.agent.reconcilers.part import attempt
from slash80.desired.problems import Reason
from unit.agent.reconcilers.fakes import Setting

NAME = "05-slash80.conflist"


@pytest.mark.parametrize(("node", "firewall"), [*product([True, False], repeat=2)])
def test_the_conflist_waits_for_node_and_firewall(setting: Setting, node: bool, firewall: bool) -> None:  # noqa: FBT001 -- the two facts that count
    """With one of them missing a pod that is sent here would have no address, or be open to the Internet."""
    setting.board.post("node", Outcome(in_force=node))
    setting.board.post("firewall", Outcome(in_force=firewall))
    assert attempt(Conflist(setting.around), setting.around)

    assert (node and firewall) == (setting.folder / "net.d" / NAME).exists()
    assert (node and firewall) == setting.board.outcome("conflist").in_force


def test_a_conflist_that_runtimes_prefer_is_a_problem(setting: Setting) -> None:
    """It is named at once, since a person has to remove it."""
    (setting.folder / "net.d/00-other.conflist").touch()
    attempt(Conflist(setting.around), setting.around)
    (problem,) = setting.board.outcome("conflist").problems
    assert (Reason.CONFLIST_SHADOWED, str(setting.folder / "net.d/00-other.conflist")) == (
        problem.reason,
        problem.subject,
    )


def test_a_conflist_of_somebody_else_is_a_problem(setting: Setting) -> None:
    """It is not overwritten, and pods are not sent here."""
    for part in ("node", "firewall"):
        setting.board.post(part, Outcome(in_force=True))
    (setting.folder / "net.d" / NAME).write_text("{}")
    assert not attempt(Conflist(setting.around), setting.around)
    outcome = setting.board.outcome("conflist")
    assert not outcome.in_force
    assert [Reason.CONFLIST_FAILED] == [problem.reason for problem in outcome.problems]
