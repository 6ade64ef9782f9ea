"""Which outcomes are possible: each attachment is a register that calls change at one instant between begin and end.

A call that was killed may have changed it or not, at any time until the round's end. So the model keeps all states that
are possible, with the calls that are still under way, and an outcome that no possible state allows is a violation.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from soak.world import SPOTS, Json

# What an attachment may be: absent, attached by an ADD (its number), or attached in a namespace that is being deleted.
State = str
ABSENT = ""
TERMINATING = "-"
Configuration = tuple[State, frozenset[int]]  # a possible state, and which of the calls under way have had their effect
REFUSED = "attached already"


@dataclass
class Call:
    """One operation as it was logged; without an end it was killed."""

    record: Json
    begin: float
    end: float | None = None
    code: int = 0
    answer: Any = ""

    @property
    def verb(self) -> str:
        """The CNI command, or the accident."""
        return str(self.record["kind"]).partition(" ")[0]

    @property
    def number(self) -> str:
        """Which operation it was."""
        return str(self.record["number"])

    @property
    def message(self) -> str:
        """The error's sentence."""
        return str(self.answer["msg"]) if isinstance(self.answer, dict) and "msg" in self.answer else ""

    def __str__(self) -> str:
        end = "killed" if self.end is None else f"{self.end:.4f} code {self.code} {self.message or self._given()}"
        return f"{self.begin:.4f} .. {end}  {self.record}"

    def _given(self) -> str:
        return (
            " ".join(str(ip["address"]) for ip in self.answer.get("ips", ())) if isinstance(self.answer, dict) else ""
        )


@dataclass(frozen=True)
class Effect:
    """What one call means for one attachment; `must` is whether it has an effect or outcome for certain."""

    kind: str
    token: str
    begin: float
    end: float | None
    call: Call = field(compare=False)


def after(state: State, effect: Effect) -> State | None:
    """Return the state that a call leads to from a state; None if it cannot have had its outcome there."""
    dying = state.startswith(TERMINATING)
    possible, following = {
        "attach": (state == ABSENT, effect.token),
        "refuse": (state != ABSENT, state),
        "remove": (True, ABSENT),
        "terminate": (state != ABSENT and not dying, TERMINATING + state),
        "die": (dying, ABSENT),
        "whole": (state == effect.token, state),
        "differs": (state != effect.token, state),
    }[effect.kind]
    return following if possible else None


def effects_of(calls: Iterable[Call], *, losing: bool) -> dict[str, list[Effect]]:
    """Sort calls by the attachment that they may change or look at. With a lost store a GC may miss something."""
    found: dict[str, list[Effect]] = {name: [] for name in SPOTS}
    for call in calls:
        for name, kind, token, certain in _meaning(call, losing=losing):
            found[name].append(Effect(kind, token, call.begin, call.end if certain else None, call))
    return found


def _meaning(call: Call, *, losing: bool) -> Iterator[tuple[str, str, str, bool]]:
    """Yield attachment, kind of effect, token, and whether it is certain."""
    done, record = call.end is not None, call.record
    if call.verb == "GC":
        yield from ((gone, "remove", "", done and not losing) for gone in record.get("gone", ()))
    elif call.verb == "renew":
        mine = [spot.name for spot in SPOTS.values() if spot.pod == record["pod"]]
        yield from ((name, kind, "", False) for name in mine for kind in ("terminate", "die"))
    elif name := str(record.get("spot", "")):
        if call.verb == "ADD" and (not done or call.code == 0):
            yield name, "attach", call.number, done
            if (
                not done and "frozen" in record
            ):  # it outlives its parent, and rolls back an answer that is not delivered
                yield name, "remove", "", False
        elif call.verb == "ADD" and REFUSED in call.message:
            yield name, "refuse", "", True
        elif call.verb == "DEL":
            yield name, "remove", "", done and call.code == 0
        elif call.verb == "CHECK" and done and "token" in record:
            yield from _checked(call, name)


def _checked(call: Call, name: str) -> Iterator[tuple[str, str, str, bool]]:
    """Return what a CHECK has found; that only the rules are missing says nothing of the attachment."""
    token = str(call.record["token"])
    found = call.message.partition(" has changed since ADD: ")[2].removesuffix(
        "; delete the pod so that it is recreated"
    )
    if call.code == 0:
        yield name, "whole", token, True
    elif found and not (found.startswith("table inet") and ";" not in found):
        yield name, "differs", token, True


@dataclass
class Impossible(Exception):
    """An outcome that no possible state allows."""

    what: str
    effects: list[Effect]
    states: set[State]


def possible(start: State, effects: list[Effect]) -> set[State]:
    """Return the states that an attachment may be in when all is over; raise Impossible for an impossible outcome."""
    events = [(effect.begin, 0, index) for index, effect in enumerate(effects)]
    events += [(effect.end, 1, index) for index, effect in enumerate(effects) if effect.end is not None]
    under_way: set[int] = set()
    now: set[Configuration] = {(start, frozenset())}
    for _, ending, index in sorted(events):
        if not ending:
            under_way.add(index)
            continue
        everything = _closure(now, under_way, effects)
        now = {(state, done - {index}) for state, done in everything if index in done}
        under_way.discard(index)
        if not now:
            states = {state for state, _ in everything}
            raise Impossible(f"impossible: {effects[index].call}", effects, states)
    return {state for state, _ in _closure(now, under_way, effects)}


def _closure(start: set[Configuration], under_way: set[int], effects: list[Effect]) -> set[Configuration]:
    """Return all configurations that are reached when any of the calls under way have their effect, in any order."""
    reached, new = set(start), list(start)
    while new:
        state, done = new.pop()
        for index in under_way - done:
            following = after(state, effects[index])
            if following is not None and (configuration := (following, done | {index})) not in reached:
                reached.add(configuration)
                new.append(configuration)
    return reached
