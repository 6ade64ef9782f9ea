"""What the program asks before anything runs."""

from types import SimpleNamespace
from typing import Any

import pytest

from slash80.cluster.api import Api, Refused
from slash80.clusterset import run, state
from slash80.clusterset.state import Condition, MemberState, State
from slash80.errors import InvalidConfig


class Server(Api):
    """An API server that answers every dry run in one way."""

    def __init__(self, refusal: Refused | None = None) -> None:
        self.refusal, self.asked = refusal, 0

    def create(self, path: str, body: dict[str, Any], **_: str) -> dict[str, Any]:
        """Refuse it or not."""
        self.asked += 1
        if self.refusal:
            raise self.refusal
        return body


def test_the_program_does_not_start_without_an_admission_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a dry run of what is forbidden succeeds it says what to apply, and by which option to go on without."""
    monkeypatch.setattr(run, "_IN_FORCE", -1.0)
    with pytest.raises(InvalidConfig, match=r"manifests/clusterset.*--without-admission-policy"):
        run._have_restriction(Server(), "slash80-system")


@pytest.mark.parametrize("status", [403, 422])
def test_the_program_starts_where_a_policy_refuses(status: int) -> None:
    """One dry run is enough to know."""
    server = Server(Refused(status, "denied"))
    run._have_restriction(server, "slash80-system")

    assert 1 == server.asked


def test_a_member_s_last_answer_survives_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state has the time of day, and what is judged by is a clock that begins with the machine."""
    clocks = SimpleNamespace(time=lambda: 1_795_780_800.0, monotonic=lambda: 5000.0)
    monkeypatch.setattr(run, "time", clocks)
    members = {
        "us": MemberState(Condition.OK, 1_795_780_800 - 600),
        "ap": MemberState(),
        "sa": MemberState(Condition.OK, 1_795_780_800 + 900),  # of a clock that was wrong
    }

    assert {"us": 4400.0, "sa": 5000.0} == run._before(State(members=members))


@pytest.mark.parametrize(
    "kept", [{}, {state.KEY: ""}, {state.KEY: "{"}], ids=["no state", "an empty one", "a broken one"]
)
def test_a_state_that_cannot_be_read_is_left_out(kept: dict[str, str]) -> None:
    """The program begins without it, and writes it again."""
    assert State() == run._said(kept)
