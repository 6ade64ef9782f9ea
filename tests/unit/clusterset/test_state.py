"""The state of a cluster's part in a clusterset, as a ConfigMap keeps it."""

import json

import pytest

from slash80.cluster.objects.reading import Unreadable
from slash80.clusterset.problems import Problem, Reason
from slash80.clusterset.records import Name
from slash80.clusterset.state import (
    EXAMPLES,
    EXPORTS,
    PROBLEMS,
    ROOM,
    Condition,
    ExportState,
    MemberState,
    State,
    minute,
    read,
    write,
)

NOON = 1_795_780_800  # 2026-11-27T12:00:00Z
US = MemberState(
    Condition.SILENT, NOON, "[2001:db8:2::5]:8180", "timed out", 7, {"AddressOutside": 2}, ("us: 10.0.0.1 is outside",)
)
LOST = Problem(Reason.WATCH_FAILED, "/api/v1/services", "it is away")
WEB = ExportState(Name("shop", "web"), ready=False, reason="Pending", message="not served yet")


def test_what_is_written_is_read_again() -> None:
    """Members, exports and counts survive, so a restarted program goes on from them."""
    state = State("eu", "shop", "no certificate", {"us": US, "ap": MemberState()}, (WEB,), 3, (LOST,))

    assert state == read(write(state))


def test_state_is_what_the_design_promises_to_programs() -> None:
    """The keys and the words are those that other programs read."""
    document = json.loads(write(State("eu", "shop", "", {"us": US}, (WEB,), 3, (LOST,))))

    assert {
        "version": 1,
        "cluster": "eu",
        "clusterset": "shop",
        "problem": "",
        "problemDetails": [{"reason": "WatchFailed", "subject": "/api/v1/services", "message": "it is away"}],
        "members": {
            "us": {
                "answered": "2026-11-27T12:00:00Z",
                "at": "[2001:db8:2::5]:8180",
                "state": "silent",
                "problem": "timed out",
                "exports": 7,
                "refused": {"AddressOutside": 2},
                "examples": ["us: 10.0.0.1 is outside"],
            }
        },
        "exports": [
            {"namespace": "shop", "name": "web", "ready": False, "reason": "Pending", "message": "not served yet"}
        ],
        "imports": 3,
    } == document


def test_state_of_a_whole_clusterset_fits_a_config_map() -> None:
    """A thousand members that are refused all they say take less than the megabyte that etcd takes."""
    member = MemberState(Condition.OK, NOON, "[2001:db8:2::5]:8180", "", 9, {"AddressOutside": 2})
    exports = tuple(ExportState(Name("n" * 63, "s" * 63), ready=False, message="x" * 5000) for _ in range(500))
    text = write(State("eu", "shop", "", {f"cluster-{n}": member for n in range(1000)}, exports, 3))

    assert len(text.encode()) < 1 << 20
    assert EXPORTS == len(read(text).exports)


def test_sentences_about_what_was_refused_are_few_and_short() -> None:
    """A hostile member has a part in them, and they must not fill the ConfigMap."""
    member = MemberState(examples=tuple("x" * 100_000 for _ in range(1000)), problem="y" * 100_000)
    found = read(write(State(members={"us": member}))).members["us"]

    assert EXAMPLES == len(found.examples)
    assert max(map(len, (*found.examples, found.problem))) <= 1000


def test_a_reason_of_a_newer_program_is_read() -> None:
    """`slash80 clusterset status` of a workstation may be older than the program: people see the sentence."""
    text = write(State(problems=(LOST,))).replace("WatchFailed", "SomethingNew")

    assert (LOST._replace(reason=Reason.UNSPECIFIED),) == read(text).problems


def test_problems_are_some_and_short() -> None:
    """Each may name what another cluster has brought about."""
    many = tuple(LOST._replace(message=f"{number}{'x' * 5000}") for number in range(100))
    found = read(write(State(problems=many))).problems

    assert PROBLEMS == len(found)
    assert 1000 == max(len(one.message) for one in found)


def test_state_and_file_of_a_hostile_clusterset_fit_one_config_map() -> None:
    """However much is refused, the last good file can be kept beside it; then there are fewer sentences about that."""
    member = MemberState(examples=("\x00" * 1000,) * 8, problem="y" * 100)
    exports = tuple(ExportState(Name("n" * 63, "s" * 63), ready=False, message="x" * 1000) for _ in range(200))
    state = State(members={f"cluster-{n}": member for n in range(1000)}, exports=exports)
    for file in (0, 500_000, 700_000):
        text = write(state, ROOM - file)
        assert 0 < len(text) <= ROOM - file
        assert 1000 == len(read(text).members)
    assert not write(state, 1000)


def test_state_is_the_same_within_a_minute() -> None:
    """A member that answers every few seconds does not make the ConfigMap another one each time."""
    assert minute(NOON + 59.9) == NOON
    texts = {write(State(members={"us": MemberState(answered=NOON + second)})) for second in (0, 30, 59)}
    assert 1 == len(texts)


BROKEN = {
    "no JSON": ("{", "state.json"),
    "a list": ("[]", "version"),
    "a version of the future": ('{"version": 2}', "version"),
    "members in a list": ('{"version": 1, "members": []}', "members"),
    "an unknown condition": ('{"version": 1, "members": {"us": {"state": "well"}}}', "state"),
    "a time without zone": (
        '{"version": 1, "members": {"us": {"state": "ok", "answered": "2026-11-27T12:00"}}}',
        "answered",
    ),
    "a count of text": ('{"version": 1, "imports": "3"}', "imports"),
    "a negative count": ('{"version": 1, "imports": -3}', "imports"),
    "deep JSON": ('{"version": 1, "members": ' + "[" * 100_000, "state.json"),
}


@pytest.mark.parametrize(("text", "field"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read_names_the_field(text: str, field: str) -> None:
    """A person may have changed the ConfigMap by hand: the program goes on without it and can say why."""
    with pytest.raises(Unreadable, match=field):
        read(text)
