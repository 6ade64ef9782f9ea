"""One part's attempt, whatever comes of it."""

import logging

import pytest

from slash80.agent.reconcilers.board import Outcome
from slash80.agent.reconcilers.part import attempt, tolerated
from slash80.cluster.api import Refused, Unreachable
from slash80.desired.problems import Problem, Reason
from slash80.errors import TryAgain
from unit.agent.reconcilers.fakes import Setting

MINOR = Problem(Reason.ROUTE_CONFLICT, "route", "a route is in the way; delete it")


class Part:
    """Does what a test wants."""

    name, reason = "routes", Reason.ROUTES_FAILED

    def __init__(self, *outcomes: Outcome | Exception) -> None:
        self.outcomes = list(outcomes)

    def reconcile(self) -> Outcome:
        """Have an outcome, or fail."""
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.mark.parametrize(
    ("outcome", "needs_no_retry"),
    [
        (Outcome(in_force=True), True),
        (Outcome(in_force=True, problems=(MINOR,)), True),
        (Outcome(in_force=False), True),
        (Outcome(in_force=False, problems=(MINOR,)), False),
    ],
)
def test_only_what_is_not_in_force_by_a_problem_is_retried(
    setting: Setting, outcome: Outcome, *, needs_no_retry: bool
) -> None:
    """What waits for another part is woken by it, and what is in force is looked at again in time."""
    assert needs_no_retry == attempt(Part(outcome), setting.around)
    assert outcome == setting.board.outcome("routes")


@pytest.mark.parametrize("error", [TryAgain("busy"), OSError("busy"), Refused(403, "busy"), Unreachable("busy")])
def test_a_failure_is_a_problem_of_the_part(setting: Setting, error: Exception) -> None:
    """It has the part's reason and the error's sentence, and is retried."""
    assert not attempt(Part(error), setting.around)
    problems = (Problem(Reason.ROUTES_FAILED, "a", str(error)),)
    assert Outcome(in_force=False, problems=problems) == setting.board.outcome("routes")


def test_a_mistake_in_one_part_ends_nothing_else(setting: Setting, caplog: pytest.LogCaptureFixture) -> None:
    """It is reported like any problem and retried; the traceback is logged once, not every few seconds."""
    part = Part(LookupError("x"), LookupError("x"), Outcome(in_force=True))
    assert not attempt(part, setting.around)
    problem = setting.board.outcome("routes").problems[-1]
    assert (Reason.INTERNAL_ERROR, "routes") == (problem.reason, problem.subject)
    assert problem.message.endswith("report it: LookupError: x")
    assert not attempt(part, setting.around)
    assert 1 == sum(record.exc_info is not None for record in caplog.records)
    assert attempt(part, setting.around)
    assert setting.board.outcome("routes").in_force


def test_a_problem_is_logged_when_it_begins(setting: Setting, caplog: pytest.LogCaptureFixture) -> None:
    """What was said before is not said again."""
    part = Part(*[Outcome(in_force=True, problems=(MINOR,))] * 2)
    with caplog.at_level(logging.WARNING):
        attempt(part, setting.around)
        attempt(part, setting.around)
    assert [MINOR.message] == caplog.messages


def test_a_tolerated_step_keeps_no_other_from_being_done() -> None:
    """A mistake of ours is not tolerated there: the part's attempt tells of it."""
    problems: list[Problem] = []
    for error in (TryAgain("busy"), OSError("full")):
        with tolerated(problems, Reason.NODE_FAILED, "step"):
            raise error
    assert [("step", "busy"), ("step", "full")] == [(problem.subject, problem.message) for problem in problems]
    with pytest.raises(LookupError), tolerated(problems, Reason.NODE_FAILED, "step"):
        raise LookupError
