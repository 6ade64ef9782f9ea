"""What members that do not answer are taken for."""

from hypothesis import given
from hypothesis import strategies as st

from slash80.clusterset.silence import GONE, SILENT, Contact, Verdict, judge
from slash80.clusterset.state import Condition


def ages(**seconds: float | None) -> dict[str, Contact]:
    """Return members that were asked long ago and answered so many seconds before 10,000, or never."""
    return {name: Contact(0.0, None if age is None else 10_000.0 - age) for name, age in seconds.items()}


def at(**seconds: float | None) -> Verdict:
    """Judge members by the ages of their last answers."""
    return judge(ages(**seconds), 10_000.0)


def test_a_member_that_answers_is_well() -> None:
    """A long poll takes 20 seconds, so an answer of that age does not count as silence."""
    verdict = at(us=20, ap=1)

    assert {"us": Condition.OK, "ap": Condition.OK} == verdict.conditions
    assert not verdict.silent
    assert not verdict.gone


def test_a_member_without_an_answer_for_half_a_minute_is_silent() -> None:
    """Its endpoints become the last resort from then on, not a moment earlier."""
    assert frozenset() == at(us=29.9, ap=1).silent
    assert {"us"} == at(us=30, ap=1).silent


def test_a_member_without_an_answer_for_a_quarter_of_an_hour_is_gone() -> None:
    """From then on nothing of it is imported, and it is not merely silent any more."""
    verdict = at(us=900, ap=1)

    assert {"us"} == verdict.gone
    assert frozenset() == verdict.silent
    assert Condition.GONE is verdict.conditions["us"]


def test_a_member_is_back_with_its_first_answer() -> None:
    """Neither a long silence nor having been gone leaves anything behind."""
    assert Condition.OK is at(us=0).conditions["us"]


def test_the_other_one_of_two_clusters_may_be_silent() -> None:
    """With so few there is nothing to compare with, and a last resort that is not needed costs nothing."""
    assert {"us"} == at(us=31).silent


def test_most_members_silent_at_once_are_taken_for_our_own_fault() -> None:
    """Nothing changes for them, although each has been silent for long enough, until the quarter of an hour is over."""
    verdict = at(us=40, ap=50, sa=35, af=5, cn=60)

    assert verdict.held
    assert frozenset() == verdict.silent
    assert Condition.SILENT is verdict.conditions["us"]
    assert {"us", "ap", "sa"} == at(us=901, ap=902, sa=903, af=1, cn=2).gone


def test_the_first_members_of_a_cut_are_not_taken_for_dead_alone() -> None:
    """Ten seconds after the cut two are silent and two more are overdue: these are most, so none is marked."""
    verdict = at(us=30, ap=31, sa=23, af=24, cn=12, eu=15, jp=11)

    assert verdict.held
    assert frozenset() == verdict.silent


def test_members_that_are_long_gone_are_no_sign_of_a_cut() -> None:
    """Three that were given up do not keep a fourth one that dies from being marked."""
    verdict = at(us=9000, ap=9000, sa=9000, af=40, cn=1, eu=2)

    assert {"af"} == verdict.silent
    assert not verdict.held


def test_a_predecessor_s_last_answer_counts() -> None:
    """A program that is restarted again and again does not keep a dead member's endpoints for ever."""
    young = {"us": Contact(asked=9_999.0, before=9_000.0)}

    assert frozenset() == judge(young, 10_000.0).gone  # it has half a minute to answer this process
    assert {"us"} == judge(young, 10_030.0).gone


def test_a_restarted_program_gives_each_member_half_a_minute() -> None:
    """Whatever was before: a member that answers within it is never a last resort, and one that is dead then is."""
    old = Contact(asked=9_000.0, before=8_700.0)

    assert frozenset() == judge({"us": old}, 9_029.9).silent
    assert {"us"} == judge({"us": old}, 9_030.0).silent
    assert frozenset() == judge({"us": Contact(9_000.0, answered=9_029.0, before=8_700.0)}, 9_050.0).silent
    assert Condition.SILENT is judge({"us": old}, 9_001.0).conditions["us"]


def test_a_restart_is_no_sign_of_a_cut() -> None:
    """All members are late by what the predecessor knew, and none has been asked yet."""
    assert not judge({name: Contact(asked=9_000.0, before=8_900.0) for name in "abcd"}, 9_010.0).held


def test_a_member_that_never_answered_has_its_quarter_of_an_hour_from_the_first_question_on() -> None:
    """What an earlier process imported stays until then, since no answer is not the answer "nothing"."""
    new = {"us": Contact(asked=9_500.0)}

    assert Condition.NEVER is judge(new, 10_000.0).conditions["us"]
    assert {"us"} == judge(new, 9_500.0 + GONE).gone


MEMBERS = st.dictionaries(st.sampled_from("abcdefgh"), st.none() | st.floats(0, 2000), max_size=8)


@given(MEMBERS)
def test_silent_and_gone_follow_from_the_ages(members: dict[str, float | None]) -> None:
    """No member that answered within half a minute is marked, and only those of a quarter of an hour are gone."""
    verdict = at(**members)
    known = {name: 10_000.0 if age is None else age for name, age in members.items()}

    assert {name for name, age in known.items() if age >= GONE} == verdict.gone
    assert verdict.silent <= {name for name, age in known.items() if SILENT <= age < GONE}
    assert verdict.held or verdict.silent == {name for name, age in known.items() if SILENT <= age < GONE}
