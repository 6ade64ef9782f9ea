"""`slash80 clusterset apply -f FILE CONTEXT...`: the same file into each cluster, after what it changes was shown."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from slash80.cli import tables
from slash80.cli.clusterset import textfile
from slash80.cli.clusterset.changes import Change, changes
from slash80.cli.clusterset.consent import withheld
from slash80.cli.clusterset.contexts import CONFIG_MAPS, NAMESPACE, Outcome, each, found
from slash80.cli.clusterset.own import certificate
from slash80.cli.tables import printable
from slash80.cluster.api import Api, Refused
from slash80.cluster.objects.configmap import read_config_map
from slash80.clusterset.service_ranges import service_ranges
from slash80.errors import CniError, Failure, InvalidConfig
from slash80.settings import clusterset
from slash80.settings.clusterset import KEY, NAME, Clusterset

MANAGER = "slash80-clusterset-apply"
_PATH = f"{CONFIG_MAPS}/{NAME}"
_CONFLICT, _NOT_FOUND = 409, 404
_COLUMNS = ("CLUSTER", "MEMBER", "KEY", "CHANGE", "VALUE")


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a file changes in a cluster; `needed` is false where it has exactly this text already."""

    changes: list[Change]
    needed: bool


def apply(chosen: argparse.Namespace) -> int:
    """Show and apply; 1 where it could not be applied to one of them."""
    try:
        content = textfile.read(chosen.file)
        if content is None:
            raise InvalidConfig(f"{chosen.file} does not exist; slash80 clusterset add -f {chosen.file} makes it")
        wanted = clusterset.parse(content, str(chosen.file))
    except CniError as error:
        print(f"slash80 clusterset apply: {error}", file=sys.stderr)
        return 1
    plans = [*each(chosen, lambda context, api: _planned(chosen, context, api, wanted=wanted, content=content))]
    if chosen.output == "text":
        _show(plans)
    todo = [one.context for one in plans if one.result and one.result.needed]
    if todo and (code := withheld(chosen, f"Apply {chosen.file} to {', '.join(todo)}?")):
        return code
    chosen.contexts = todo
    done = {one.context: one for one in each(chosen, lambda _, api: _apply(api, content, force=chosen.force))}
    outcomes = [done.get(one.context, one) for one in plans]
    if chosen.output == "json":
        print(json.dumps([_document(*pair) for pair in zip(plans, outcomes, strict=True)], indent=2))
    else:
        _report(outcomes, todo)
    return 1 if any(one.problem for one in outcomes) else 0


def _planned(chosen: argparse.Namespace, context: str, api: Api, *, wanted: Clusterset, content: str) -> _Plan:
    """Compare with what is there; raise CniError where this file must not be applied."""
    if not chosen.leaving:
        der = certificate(context, api)
        if wanted.with_certificate(der) is None:
            raise InvalidConfig(
                f"no entry of {chosen.file} has this cluster's certificate, so it would leave the clusterset; "
                f"slash80 clusterset add -f {chosen.file} {context} adds it, --leaving applies it all the same"
            )
    clusterset.refuse_overlaps(wanted, service_ranges(api, NAMESPACE))
    document = found(api, _PATH)
    there = read_config_map(document).get(KEY, "") if document else ""
    return _Plan(changes(_read(there), wanted), needed=document is None or there != content)


def _read(there: str) -> Clusterset | None:
    """Return what a cluster has; a file that is not in force because of a mistake trusts no member."""
    try:
        return clusterset.parse(there)
    except InvalidConfig:
        return None


def _apply(api: Api, content: str, *, force: bool) -> _Plan:
    metadata = {"name": NAME, "namespace": NAMESPACE}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: content}}
    try:
        api.apply(_PATH, body, manager=MANAGER, force=force)
    except Refused as refused:
        if refused.status == _CONFLICT:
            what = f"another program or person has written ConfigMap {NAME}: {refused}"
            raise Failure(f"{what}; change it there, or give --force to take it over") from refused
        if refused.status == _NOT_FOUND:
            raise Failure(f"there is no namespace {NAMESPACE}; install slash80 first") from refused
        raise
    return _Plan([], needed=False)


def _show(plans: Sequence[Outcome[_Plan]]) -> None:
    rows = [
        (one.context, change.member or "-", change.key, change.change, change.value)
        for one in plans
        for change in (one.result.changes if one.result else ())
    ]
    if rows:
        tables.show(_COLUMNS, [tuple(map(printable, row)) for row in rows])


def _report(outcomes: Sequence[Outcome[_Plan]], todo: Sequence[str]) -> None:
    for one in outcomes:
        if one.problem:
            print(f"slash80 clusterset apply: {one.context}: {printable(one.problem)}", file=sys.stderr)
        else:
            print(f"{one.context}: {'applied' if one.context in todo else 'has this file already'}")


def _document(plan: Outcome[_Plan], outcome: Outcome[_Plan]) -> dict[str, Any]:
    changed = [asdict(change) for change in plan.result.changes] if plan.result else []
    applied = bool(plan.result and plan.result.needed and not outcome.problem)
    return {"context": plan.context, "changes": changed, "applied": applied, "problem": outcome.problem}
