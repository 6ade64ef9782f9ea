"""What the parts know of each other."""

from slash80.agent.reconcilers.board import Board, Outcome
from slash80.desired.node import Desired
from slash80.desired.problems import Problem, Reason

ONE, OTHER = (Problem(Reason.NODE_FAILED, "a", message) for message in ("one", "other"))
DESIRED = Desired({"ipv6": [], "ipv4": []}, {}, (), (), ())


def test_nothing_is_in_force_until_it_was_posted() -> None:
    """A node is not ready before each part that a pod needs has said so, and no longer when one takes it back."""
    board = Board(lambda part: None)
    for part in ("node", "firewall", "conflist"):
        assert not board.ready
        board.post(part, Outcome(in_force=True))
    assert board.ready
    board.post("firewall", Outcome(in_force=False))
    assert not board.ready


def test_routes_and_status_do_not_keep_a_node_from_being_ready() -> None:
    """Pods can be attached without them; the problems are reported all the same."""
    board = Board(lambda part: None)
    for part in ("node", "firewall", "conflist"):
        board.post(part, Outcome(in_force=True))
    for part in ("routes", "status"):
        board.post(part, Outcome(in_force=False, problems=(ONE,)))
    assert board.ready
    assert [ONE, ONE] == board.problems


def test_only_what_changes_wakes_others() -> None:
    """The same outcome, desired state or missing routes once more are no news."""
    changed: list[str] = []
    board = Board(changed.append)
    for _ in range(2):
        board.post("firewall", Outcome(in_force=True))
        board.want(DESIRED)
        board.miss(("10.80.2.0/24",))
    assert ["firewall", "node", "routes"] == changed
    assert (DESIRED, ("10.80.2.0/24",)) == (board.desired, board.unrouted)


def test_a_problem_is_new_until_the_next_outcome_of_its_part() -> None:
    """So it is logged once, and again after it was gone; the other parts' problems stay."""
    board = Board(lambda part: None)
    assert (ONE,) == board.post("node", Outcome(in_force=True, problems=(ONE,)))
    assert (OTHER,) == board.post("node", Outcome(in_force=True, problems=(ONE, OTHER)))
    assert (ONE,) == board.post("routes", Outcome(in_force=True, problems=(ONE,)))
    assert () == board.post("node", Outcome(in_force=True))
    assert [ONE] == board.problems
    assert (ONE,) == board.post("node", Outcome(in_force=True, problems=(ONE,)))
