"""`slash80 clusterset leave CONTEXT...`: a cluster is a cluster of its own again, as it was before it was a member."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from slash80.cli import tables
from slash80.cli.clusterset.consent import withheld
from slash80.cli.clusterset.contexts import Outcome, each
from slash80.cli.clusterset.traces import Trace, pods, program, remove, traces
from slash80.cli.tables import printable
from slash80.cluster.api import Api
from slash80.cluster.clock import Clock, SystemClock
from slash80.errors import Failure

_MOST_WAIT, _LOOK = 60.0, 0.5  # seconds
_NAMED = 3
_REST = (
    "{0}: the file of the other clusters still trusts it: strike its entry there, and slash80 clusterset apply. Left "
    "are ServiceExports, custom resources, and the key and rights of the program: kubectl --context {0} delete -k "
    "manifests/clusterset --ignore-not-found"
)


@dataclass(slots=True)
class _Done:
    """What there was in a cluster, by kind, and whether it is gone."""

    context: str
    found: dict[str, int] = field(default_factory=dict)
    done: bool = False
    problem: str = ""


def leave(chosen: argparse.Namespace, clock: Clock[threading.Condition] | None = None) -> int:
    """Show what there is, and delete it; 1 where something is left."""
    clock = clock or SystemClock()
    plans = [*each(chosen, lambda _, api: [*program(api), *traces(api)])]
    if chosen.output == "text":
        _show(plans)
    todo = [one.context for one in plans if one.result]
    if todo and (code := withheld(chosen, f"Delete this, and leave the clusterset, in {', '.join(todo)}?")):
        return code
    chosen.contexts = todo
    ended = {one.context: one for one in each(chosen, lambda context, api: _leave(context, api, clock))}
    done = [_done(plan, ended.get(plan.context)) for plan in plans]
    if chosen.output == "json":
        print(json.dumps([asdict(one) for one in done], indent=2))
    else:
        _report(done)
    return 1 if any(one.problem for one in done) else 0


def _leave(context: str, api: Api, clock: Clock[threading.Condition]) -> bool:
    """Delete all; raise Failure where it does not go."""
    for one in program(api):
        remove(api, one)
    _gone(lambda: [f"pod {name}" for name in pods(api)], clock, context)
    for one in [*traces(api)]:
        remove(api, one)
    _gone(lambda: [f"{one.kind} {one.name}" for one in traces(api)], clock, context)
    return True


def _gone(left: Callable[[], list[str]], clock: Clock[threading.Condition], context: str) -> None:
    """Wait until nothing is left; raise Failure after a minute."""
    end, bell = clock.now() + _MOST_WAIT, threading.Condition()
    while names := left():
        if clock.now() >= end:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            raise Failure(
                f"{', '.join(names[:_NAMED])}{more} did not go within a minute; see why with kubectl --context "
                f"{context} describe, and run this again"
            )
        with bell:
            clock.wait(bell, _LOOK)


def _done(plan: Outcome[list[Trace]], ended: Outcome[bool] | None) -> _Done:
    found = Counter(one.kind for one in plan.result or ())
    problem = plan.problem or (ended.problem if ended else "")
    return _Done(plan.context, dict(found), not problem, problem)


def _show(plans: Sequence[Outcome[list[Trace]]]) -> None:
    rows = []
    for plan in plans:
        kinds: dict[str, list[str]] = {}
        for one in plan.result or ():
            kinds.setdefault(one.kind, []).append(one.name)
        for kind, names in kinds.items():
            more = ", ..." if len(names) > _NAMED else ""
            rows.append((plan.context, kind, str(len(names)), printable(", ".join(names[:_NAMED])) + more))
    if rows:
        tables.show(("CLUSTER", "KIND", "COUNT", "NAMES"), rows)


def _report(done: Sequence[_Done]) -> None:
    for one in done:
        if one.problem:
            print(f"slash80 clusterset leave: {one.context}: {printable(one.problem)}", file=sys.stderr)
        elif not one.found:
            print(f"{one.context}: nothing of a clusterset is there")
        else:
            print(f"{one.context}: left the clusterset")
            print(_REST.format(one.context))
