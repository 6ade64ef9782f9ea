"""`slash80 clusterset dns CONTEXT... [--apply]`: CoreDNS answers for `clusterset.local`, after the change was shown."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from slash80.cli import tables
from slash80.cli.clusterset import coredns, corefile
from slash80.cli.clusterset.contexts import each
from slash80.cli.clusterset.coredns import CoreDns
from slash80.cli.tables import printable
from slash80.cluster.api import Api, Refused
from slash80.cluster.objects.reading import Document, mapping, text

_CONFLICT = 409
_OF_ROLE = (
    "--- ClusterRole system:coredns",
    "+++ ClusterRole system:coredns",
    *(
        f"{'+ ' if number else '+-'} {key}: [{', '.join(values)}]"
        for number, (key, values) in enumerate(coredns.RULE.items())
    ),
)


@dataclass(slots=True)
class _Done:
    """What is to change in a cluster, and whether that was done."""

    context: str
    diff: list[str] = field(default_factory=list)
    applied: bool = False
    notes: list[str] = field(default_factory=list)
    problem: str = ""


def dns(chosen: argparse.Namespace) -> int:
    """Show, and with `--apply` make, the changes; 1 where one cannot be made."""
    if chosen.coredns_version and coredns.version(chosen.coredns_version) is None:
        print(
            f"slash80 clusterset dns: --coredns-version is {chosen.coredns_version}, but must be as 1.12.2",
            file=sys.stderr,
        )
        return 2
    outcomes = each(chosen, lambda context, api: _changed(chosen, context, api))
    done = [one.result or _Done(one.context, problem=one.problem) for one in outcomes]
    if chosen.output == "json":
        print(json.dumps([asdict(one) for one in done], indent=2))
    else:
        _show(done, applying=chosen.apply)
    return 1 if any(one.problem for one in done) else 0


def _changed(chosen: argparse.Namespace, context: str, api: Api) -> _Done:
    """Work out what changes, and change it; a problem on the way leaves what is to be shown."""
    there = coredns.read(context, api)
    before = there.corefile
    after = corefile.with_zone(before)
    done = _Done(context, [*_diff(before, after), *(() if there.may_read else _OF_ROLE)])
    if not done.diff:
        return done
    if before != after and not corefile.reloads(before):
        done.notes.append(
            "its Corefile does not have the plugin reload, so the change is in force after "
            f"kubectl --context {context} -n kube-system rollout restart deployment/coredns"
        )
    if problem := _too_old(context, there, chosen.coredns_version):
        done.problem = problem
    elif chosen.apply:
        done.problem = _apply(api, there, after)
        done.applied = not done.problem
    return done


def _too_old(context: str, there: CoreDns, said: str) -> str:
    """Return why this CoreDNS must not get the option: with one that it does not know it does not start again."""
    tag = there.tag if coredns.version(there.tag) else said or there.tag  # what is seen counts more than what is said
    version = coredns.version(tag)
    oldest = ".".join(map(str, coredns.OLDEST))
    if version is None:
        return (
            f"which version of CoreDNS runs is not known from its image's tag {tag!r}, and one before {oldest} would "
            "not start again with the option multicluster; give --coredns-version"
        )
    if version < coredns.OLDEST:
        image = f"coredns=registry.k8s.io/coredns/coredns:v{oldest}"
        return (
            f"CoreDNS is of version {tag}, and one before {oldest} would not start again with the option multicluster; "
            f"bring a newer one first: kubectl --context {context} -n kube-system set image deployment/coredns {image}"
        )
    return ""


def _apply(api: Api, there: CoreDns, after: str) -> str:
    """Change both at the versions that were shown, the right first; return what failed, if something did."""
    try:
        if not there.may_read:
            rules = [*there.rules, coredns.RULE]
            api.patch(coredns.ROLE, _at(there.role) | {"rules": rules}, kind="merge")
        if after != there.corefile:
            api.patch(coredns.CONFIG_MAP, _at(there.config) | {"data": {coredns.KEY: after}}, kind="merge")
    except Refused as refused:
        if refused.status == _CONFLICT:
            return f"another program changes it at the same time ({refused}); look at the change again"
        return f"the API server refuses: {refused}; sign in as a user with the right to change it"
    return ""


def _at(document: Document) -> Document:
    return {"metadata": {"resourceVersion": text(mapping(document, "metadata"), "resourceVersion")}}


def _diff(before: str, after: str) -> Iterator[str]:
    name = "ConfigMap kube-system/coredns, Corefile"
    return difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="")


def _show(done: Sequence[_Done], *, applying: bool) -> None:
    for one in done:
        tables.show_diff([printable(line) for line in one.diff])
        if one.problem:
            print(f"slash80 clusterset dns: {one.context}: {printable(one.problem)}", file=sys.stderr)
        elif not one.diff:
            print(f"{one.context}: CoreDNS has the zone {corefile.ZONE} already")
        elif applying:
            print(f"{one.context}: applied")
        else:
            print(f"{one.context}: nothing was changed; --apply makes this change")
        for note in one.notes:
            print(f"{one.context}: {note}")
