"""What the program says of itself."""

from dataclasses import dataclass, field

from lab.members import certificate, entry, text
from slash80.clusterset.exporter import Exported, Verdict
from slash80.clusterset.members import Known
from slash80.clusterset.membership import Membership, Standing
from slash80.clusterset.problems import Problem, Reason
from slash80.clusterset.records import Export, Name
from slash80.clusterset.report import Facts, report
from slash80.clusterset.silence import Contact, judge
from slash80.clusterset.state import Condition, State
from slash80.settings.clusterset import KEY

NOW, NOON = 5000.0, 1_795_780_800  # seconds of the clock at a moment, and that moment
WEB, API = Name("shop", "web"), Name("shop", "api")
STANDING = Membership(certificate(0)).read({KEY: text(entry(0), entry(1))}, NOW)


@dataclass
class Follower:
    """What asks a member."""

    at: str = "[2001:db8:1::a]:8180"
    problem: str = ""
    refused: dict[str, int] = field(default_factory=lambda: {"AddressNotAllowed": 2})
    examples: tuple[str, ...] = ("c1: 10.0.0.1 is outside of its prefixes",)


def reported(
    contact: Contact,
    *,
    follower: Follower | None = None,
    exported: Exported | None = None,
    problems: tuple[Problem, ...] = (),
) -> State:
    """Return what is reported of a cluster with one other member."""
    known = {"c1": Known(STANDING.others[0], contact, {WEB: Export(WEB, 1, (6,), ())})}
    followers = {"c1": follower} if follower else {}
    verdict = judge({"c1": contact}, NOW)
    facts = Facts(STANDING, exported or Exported({}, {}), verdict, known, followers, 3, problems)
    return report(facts, NOON - NOW)


def test_a_member_is_reported_with_where_and_when_it_answered() -> None:
    """People see to the minute when it last answered, what it exports, and what of that was refused and why."""
    found = reported(Contact(0, 4990), follower=Follower())
    member = found.members["c1"]

    assert ("c0", "shop", "", 3) == (found.cluster, found.clusterset, found.problem, found.imports)
    assert (Condition.OK, NOON - 60) == (member.condition, member.answered)
    assert ("[2001:db8:1::a]:8180", 1) == (member.at, member.exports)
    assert {"AddressNotAllowed": 2} == member.refused
    assert ("c1: 10.0.0.1 is outside of its prefixes",) == member.examples


def test_a_member_that_is_not_asked_any_more_is_reported_from_memory() -> None:
    """While there is no file no one is asked, and what is still imported is shown."""
    member = reported(Contact(0, 4000)).members["c1"]

    assert (Condition.GONE, 1, "") == (member.condition, member.exports, member.at)


def test_a_predecessor_s_answer_is_reported_until_there_is_another_one() -> None:
    """A restart must not forget when a dead member last answered: the next restart goes by it."""
    assert NOON - 1020 == reported(Contact(4900, before=4000)).members["c1"].answered
    assert reported(Contact(4900)).members["c1"].answered is None


def test_exports_that_are_not_ready_come_first() -> None:
    """Only some exports fit, and those are what a person has to look at."""
    ready = Verdict("Valid", "Ready", "Other clusters can use it.")
    missing = Verdict("NoService", "Pending", "There is no Service shop/web.")
    found = reported(Contact(0), exported=Exported({}, {API: ready, WEB: missing})).exports

    assert [(WEB, False, "NoService"), (API, True, "Ready")] == [(one.name, one.ready, one.reason) for one in found]


def test_problems_are_said_once_and_some_of_many() -> None:
    """Ten lists that cannot be followed for one reason are one problem, and a hundred do not hide the first."""
    many = [Problem(Reason.WATCH_FAILED, "/api", str(number)) for number in range(100)]

    assert "0; 1" == reported(Contact(0), problems=(many[0], many[1], many[0])).problem
    assert "0; 1; 2; and 97 more" == reported(Contact(0), problems=tuple(many)).problem
    assert tuple(many[:2]) == reported(Contact(0), problems=(many[0], many[1], many[0])).problems


def test_a_cluster_that_is_no_member_says_so() -> None:
    """It has no id, and its problem is what the file lacks."""
    why = "no entry has this cluster's certificate"
    standing = Standing(problem=why, reason=Reason.CLUSTER_NOT_LISTED)
    found = report(Facts(standing, Exported({}, {}), judge({}, NOW)), 0)

    listed = Problem(Reason.CLUSTER_NOT_LISTED, "ConfigMap slash80-clusterset", why)
    assert State(problem=why, problems=(listed,)) == found
