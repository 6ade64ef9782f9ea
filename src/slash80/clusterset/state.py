"""What a cluster says of its part in the clusterset: `state.json` of ConfigMap `slash80-clusterset-state`.

The program writes it at most once a minute, for people, for `slash80 clusterset status` and for itself after a restart:
where the members were last found, and when they last answered. The ConfigMap keeps the last good file, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from slash80.cluster.objects.reading import Unreadable, mapping, mappings, text, texts
from slash80.clusterset.problems import Problem, Reason, documents
from slash80.clusterset.records import Name

NAME = "slash80-clusterset-state"  # of the ConfigMap
KEY, FILE_KEY = "state.json", "clusterset.yaml"
EXAMPLES, EXPORTS, PROBLEMS = 8, 200, 20
ROOM = (1 << 20) - 4096  # bytes for all that a ConfigMap has, as etcd takes a megabyte for an object with its metadata
# sentences of a member, and exports, as many as fit
_FEWER = ((EXAMPLES, EXPORTS), (2, EXPORTS), (1, 50), (0, 10), (0, 0))
_VERSION = 1
_MEMBERS = 1000
_SENTENCE = 1000  # characters: of what other clusters had a part in


class Condition(StrEnum):
    """How it stands with a member: it answers, it has not for 30 seconds, not for 15 minutes, or never did."""

    OK = "ok"
    SILENT = "silent"
    GONE = "gone"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class MemberState:
    """Another member: `answered` is when it last answered, in seconds since 1970 to the minute, `at` from where.

    `refused` counts what was refused of its exports by reason, and `examples` are sentences about some of that.
    """

    condition: Condition = Condition.NEVER
    answered: int | None = None
    at: str = ""
    problem: str = ""
    exports: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportState:
    """A ServiceExport of this cluster, and its condition Ready."""

    name: Name
    ready: bool
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """All of it; `cluster` and `clusterset` are empty in a cluster that no file lists.

    `problem` says what is wrong in one sentence, and `problems` has each of them.
    """

    cluster: str = ""
    clusterset: str = ""
    problem: str = ""
    members: Mapping[str, MemberState] = field(default_factory=dict)
    exports: tuple[ExportState, ...] = ()
    imports: int = 0
    problems: tuple[Problem, ...] = ()


def write(state: State, room: int = ROOM) -> str:
    """Return the text of `state.json`, with as many sentences and exports as there is room for."""
    texts = (_written(state, examples, exports) for examples, exports in _FEWER)
    return next((text for text in texts if len(text) <= room), "")


def _written(state: State, examples: int, exports: int) -> str:
    document = {
        "version": _VERSION,
        "cluster": state.cluster,
        "clusterset": state.clusterset,
        "problem": state.problem[:_SENTENCE],
        "problemDetails": documents(one._replace(message=one.message[:_SENTENCE]) for one in state.problems[:PROBLEMS]),
        "members": {name: _member(one, examples) for name, one in sorted(state.members.items())},
        "exports": [_export(one) for one in state.exports[:exports]],
        "imports": state.imports,
    }
    return json.dumps(document, indent=1)


def read(text_: str) -> State:
    """Read what `write` has written; raise Unreadable naming the field."""
    try:
        document = json.loads(text_)
    except (RecursionError, ValueError) as error:
        raise Unreadable(f"{KEY} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        raise Unreadable(f"{KEY} is not of version {_VERSION}")
    members = mapping(document, "members")
    return State(
        text(document, "cluster"),
        text(document, "clusterset"),
        text(document, "problem"),
        {name: _read_member(mapping(members, name)) for name in list(members)[:_MEMBERS]},
        tuple(_read_export(one) for one in mappings(document, "exports")),
        _count(document, "imports"),
        tuple(_read_problem(one) for one in mappings(document, "problemDetails")),
    )


def minute(seconds: float) -> int:
    """Return the minute of a time: a finer one would be another text every time."""
    return int(seconds) // 60 * 60


def _member(one: MemberState, examples: int) -> dict[str, Any]:
    return {
        "answered": _stamp(one.answered),
        "at": one.at,
        "state": str(one.condition),
        "problem": one.problem[:_SENTENCE],
        "exports": one.exports,
        "refused": dict(sorted(one.refused.items())),
        "examples": [example[:_SENTENCE] for example in one.examples[:examples]],
    }


def _export(one: ExportState) -> dict[str, Any]:
    message = one.message[:_SENTENCE]
    return {**one.name._asdict(), "ready": one.ready, "reason": one.reason, "message": message}


def _read_member(document: Mapping[str, Any]) -> MemberState:
    refused = mapping(document, "refused")
    condition = text(document, "state")
    if condition not in set(Condition):
        raise Unreadable(f"state is {condition!r}, but must be one of {', '.join(Condition)}")
    return MemberState(
        Condition(condition),
        _seconds(text(document, "answered")),
        text(document, "at"),
        text(document, "problem"),
        _count(document, "exports"),
        {reason: _count(refused, reason) for reason in refused},
        tuple(texts(document, "examples")),
    )


def _read_export(document: Mapping[str, Any]) -> ExportState:
    name = Name(text(document, "namespace"), text(document, "name"))
    return ExportState(name, document.get("ready") is True, text(document, "reason"), text(document, "message"))


def _read_problem(document: Mapping[str, Any]) -> Problem:
    reason = text(document, "reason")
    known = Reason(reason) if reason in set(Reason) else Reason.UNSPECIFIED  # a newer program's
    return Problem(known, text(document, "subject"), text(document, "message"))


def _count(document: Mapping[str, Any], key: str) -> int:
    value = document.get(key, 0)
    if type(value) is not int or value < 0:
        raise Unreadable(f"{key} is {value!r}, but must be a number of things")
    return value


def _stamp(answered: int | None) -> str:
    """Write a time as RFC 3339 does, to the minute."""
    return "" if answered is None else datetime.fromtimestamp(minute(answered), UTC).strftime("%Y-%m-%dT%H:%M:00Z")


def _seconds(stamp: str) -> int | None:
    if not stamp:
        return None
    try:
        found = datetime.fromisoformat(stamp)
    except ValueError as error:
        raise Unreadable(f"answered is {stamp!r}, but must be a time such as 2026-11-27T08:15:00Z") from error
    if found.tzinfo is None:
        raise Unreadable(f"answered is {stamp!r}, but must be a time with its zone, as 2026-11-27T08:15:00Z has")
    return int(found.timestamp())
