"""What the program says of itself, put together from what its parts know: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from slash80.clusterset.exporter import READY, Exported
from slash80.clusterset.members import Known
from slash80.clusterset.membership import Standing
from slash80.clusterset.problems import Problem, sentences
from slash80.clusterset.silence import Verdict
from slash80.clusterset.state import Condition, ExportState, MemberState, State, minute
from slash80.settings.clusterset import NAME

_SHOWN = 3  # problems in a sentence


class Follower(Protocol):
    """What asks a member, as far as people want to see it."""

    @property
    def at(self) -> str:
        """Where the member was found last."""

    @property
    def problem(self) -> str:
        """Why it cannot be asked; empty if it can."""

    @property
    def refused(self) -> Mapping[str, int]:
        """How much of what it exports was refused, by reason."""

    @property
    def examples(self) -> Iterable[str]:
        """Sentences about some of that."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the parts know; `imports` is how many Services are imported."""

    standing: Standing
    exported: Exported
    verdict: Verdict
    members: Mapping[str, Known] = field(default_factory=dict)
    followers: Mapping[str, Follower] = field(default_factory=dict)
    imports: int = 0
    problems: tuple[Problem, ...] = ()


def report(facts: Facts, since_1970: float) -> State:
    """Return the state. `since_1970` is what has to be added to seconds of the clock."""
    conditions, standing, problems = facts.verdict.conditions, facts.standing, facts.problems
    if standing.reason:
        problems = (Problem(standing.reason, f"ConfigMap {NAME}", standing.problem), *problems)
    states = {
        name: _member(one, facts.followers.get(name), conditions.get(name, Condition.NEVER), since_1970=since_1970)
        for name, one in facts.members.items()
    }
    return State(
        standing.own.id if standing.own else "",
        standing.clusterset.name if standing.clusterset else "",
        _joined(problems),
        states,
        tuple(_exports(facts.exported)),
        facts.imports,
        tuple(dict.fromkeys(problems)),
    )


def _member(one: Known, follower: Follower | None, condition: Condition, *, since_1970: float) -> MemberState:
    answered = one.contact.answered if one.contact.answered is not None else one.contact.before
    stamp = None if answered is None else minute(answered + since_1970)
    if follower is None:
        return MemberState(condition, stamp, exports=len(one.exports))
    refused, examples = dict(follower.refused), tuple(follower.examples)
    return MemberState(condition, stamp, follower.at, follower.problem, len(one.exports), refused, examples)


def _exports(exported: Exported) -> Iterator[ExportState]:
    """Yield the exports, first those that are not ready: only some of them fit."""
    ordered = sorted(exported.verdicts.items(), key=lambda one: (one[1].ready == READY, one[0]))
    for name, verdict in ordered:
        reason = verdict.ready if verdict.valid == "Valid" else verdict.valid
        yield ExportState(name, verdict.ready == READY, reason, verdict.message)


def _joined(problems: Iterable[Problem]) -> str:
    found = sentences(problems)
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more
