"""`slash80 clusterset status CONTEXT...`: members, exports and imports of each cluster, and what is wrong there."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from slash80.cli import tables
from slash80.cli.clusterset.contexts import CONFIG_MAPS, NAMESPACE, Outcome, each, found, listed
from slash80.cli.tables import printable
from slash80.cluster.api import Api
from slash80.cluster.objects import serviceexport
from slash80.cluster.objects.configmap import read_config_map
from slash80.cluster.objects.reading import Document, mapping, text
from slash80.clusterset import state
from slash80.clusterset.documents import MANAGER
from slash80.clusterset.problems import Problem, Reason, documents, sentences
from slash80.clusterset.state import Condition, MemberState, State
from slash80.errors import InvalidConfig
from slash80.settings import clusterset

_DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/slash80-clusterset"
_OF_PROGRAM, _OF_FILE = "Deployment slash80-clusterset", f"ConfigMap {clusterset.NAME}"
_MANAGED_BY = "app.kubernetes.io/managed-by"
_COLUMNS = ("MEMBER", "STATE", "ANSWERED", "EXPORTS", "REFUSED", "AT")


def status(chosen: argparse.Namespace) -> int:
    """Show the clusters; 1 when something is wrong in one of them."""
    documents = [one.result or _document(one.context, State(), [_unreachable(one)]) for one in each(chosen, _seen)]
    if chosen.output == "json":
        print(json.dumps(documents, indent=2))
    else:
        for number, document in enumerate(documents):
            if number:
                print()
            _show(document)
    return 0 if all(document["well"] for document in documents) else 1


def _seen(context: str, api: Api) -> dict[str, Any]:
    data = _data(api, state.NAME)
    said = state.read(data[state.KEY]) if data and data.get(state.KEY) else State()
    problems = [
        *_of_program(context, api, silent=not (data and data.get(state.KEY))),
        *_of_file(context, api, said),
        *_of_others(api),
    ]
    return _document(context, said, problems)


def _unreachable(one: Outcome[dict[str, Any]]) -> Problem:
    return Problem(Reason.CLUSTER_UNREACHABLE, one.context, one.problem)


def _document(context: str, said: State, problems: list[Problem]) -> dict[str, Any]:
    members = [_of_member(name, one) for name, one in said.members.items()]
    exports = [
        {**one.name._asdict(), "ready": one.ready, "reason": one.reason, "message": one.message} for one in said.exports
    ]
    return {
        "context": context,
        "cluster": said.cluster,
        "clusterset": said.clusterset,
        "well": not problems and all(one["well"] for one in members) and all(one["ready"] for one in exports),
        "members": members,
        "exports": exports,
        "imports": said.imports,
        "problems": sentences(problems),
        "problemDetails": documents(problems),
    }


def _data(api: Api, name: str) -> Mapping[str, str] | None:
    document = found(api, f"{CONFIG_MAPS}/{name}")
    return None if document is None else read_config_map(document)


def _of_program(context: str, api: Api, *, silent: bool) -> Iterator[Problem]:
    """Yield why what the state says may be old, or why nothing is said."""
    deployment = found(api, _DEPLOYMENT)
    if deployment is None:
        why = f"the program is not installed; kubectl --context {context} apply -k manifests/clusterset"
        yield Problem(Reason.PROGRAM_MISSING, _OF_PROGRAM, why)
    elif not _ready(deployment):
        why = (
            "the Deployment slash80-clusterset has no pod that is ready, so what is said here may be old; "
            f"kubectl --context {context} -n {NAMESPACE} logs deployment/slash80-clusterset says why"
        )
        yield Problem(Reason.PROGRAM_NOT_READY, _OF_PROGRAM, why)
    elif silent:
        why = (
            f"the program has not said anything in ConfigMap {state.NAME} yet; look again in a minute, then at "
            f"kubectl --context {context} -n {NAMESPACE} logs deployment/slash80-clusterset"
        )
        yield Problem(Reason.STATE_MISSING, f"ConfigMap {state.NAME}", why)


def _ready(deployment: Document) -> bool:
    ready = mapping(deployment, "status").get("readyReplicas")
    return isinstance(ready, int) and ready > 0


def _of_file(context: str, api: Api, said: State) -> Iterator[Problem]:
    """Yield what is wrong with the file: what the program says of it, or where it does not run, what is seen here."""
    if said.problems or said.problem:
        yield from said.problems or [Problem(Reason.UNSPECIFIED, "", said.problem)]
        return
    data = _data(api, clusterset.NAME)
    if data is None:
        why = (
            f"there is no ConfigMap {clusterset.NAME}, so this cluster is not a member; make it by "
            f"slash80 clusterset apply -f FILE {context}"
        )
        yield Problem(Reason.CLUSTERSET_MISSING, _OF_FILE, why)
        return
    try:
        clusterset.parse(data.get(clusterset.KEY, ""), f"{clusterset.KEY} of ConfigMap {clusterset.NAME}")
    except InvalidConfig as error:
        yield Problem(Reason.CLUSTERSET_INVALID, _OF_FILE, str(error))


def _of_others(api: Api) -> Iterator[Problem]:
    """Yield who else writes ServiceImports here."""
    counted: Counter[str] = Counter()
    for version in serviceexport.VERSIONS:
        documents = listed(api, f"/apis/{serviceexport.GROUP}/{version}/serviceimports")
        for document in documents:
            labels = mapping(mapping(document, "metadata"), "labels")
            if (owner := text(labels, _MANAGED_BY)) != MANAGER:
                counted[owner or "a person or a program that does not sign its objects"] += 1
        if documents:
            break
    for owner, count in sorted(counted.items()):
        why = (
            f"{count} ServiceImports are from {printable(owner)} and not from slash80, which leaves them alone; "
            "let one controller alone do this, or delete what the other has left"
        )
        yield Problem(Reason.OTHER_CONTROLLER, printable(owner), why)


def _of_member(name: str, one: MemberState) -> dict[str, Any]:
    stamp = None if one.answered is None else datetime.fromtimestamp(one.answered, UTC).strftime("%Y-%m-%dT%H:%MZ")
    return {
        "id": name,
        "well": one.condition is Condition.OK and not one.refused and not one.problem,
        "state": one.condition.value,
        "answered": stamp,
        "at": one.at,
        "exports": one.exports,
        "refused": dict(one.refused),
        "examples": list(one.examples),
        "problem": one.problem,
    }


def _show(document: dict[str, Any]) -> None:
    print("\n".join(printable(line) for line in _head(document)))
    if document["members"]:
        tables.show(_COLUMNS, [_row(one) for one in document["members"]])
    for line in _lines(document):
        print(printable(line))


def _head(document: dict[str, Any]) -> Iterator[str]:
    member = f"{document['cluster']} of clusterset {document['clusterset']}" if document["cluster"] else "no member"
    yield f"context    {document['context']}: {member}"
    if not document["cluster"]:
        return
    exports = document["exports"]
    ready = sum(one["ready"] for one in exports)
    least = "at least " if len(exports) == state.EXPORTS else ""  # of more the program says nothing
    yield f"services   {least}{len(exports)} exported, {ready} of them ready; {document['imports']} imported"


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    refused = ", ".join(f"{count} {reason}" for reason, count in one["refused"].items())
    cells = (one["id"], one["state"], one["answered"] or "-", str(one["exports"]), refused or "-", one["at"] or "-")
    return tuple(map(printable, cells))


def _lines(document: dict[str, Any]) -> Iterator[str]:
    for one in document["members"]:
        if one["problem"]:
            yield f"problem    {one['id']}: {one['problem']}"
        for example in one["examples"]:
            yield f"refused    {one['id']}: {example}"
    for one in document["exports"]:
        if not one["ready"]:
            yield f"export     {one['namespace']}/{one['name']} is not ready ({one['reason']}): {one['message']}"
    for problem in document["problems"]:
        yield f"problem    {problem}"
