"""`slash80 why SRC DST [PROTO/PORT]`: whether a connection is let in, which step says so, and what would change it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from slash80.addressing.family import Address
from slash80.cli import gather
from slash80.cli.gather import Facts
from slash80.cli.question import Asked, Finder, Target, Usage, families, read_asked
from slash80.cli.tables import printable
from slash80.cluster.api import Refused, Unreachable
from slash80.cluster.lookup import Lookup
from slash80.errors import CniError, Failure
from slash80.explain.records import End, Kind, Known, Path, Result, Step, Way, overall
from slash80.explain.walk import walk

_WORDS = {Result.ALLOW: "allowed", Result.DROP: "DROPPED", Result.UNKNOWN: "not known", Result.SEEN: ""}


def why(chosen: argparse.Namespace) -> int:
    """Explain a connection; return 0 where it is allowed, 1 where it is dropped or that is not known, 2 for misuse."""
    try:
        asked = read_asked(chosen.port) if chosen.port else None
        with gather.lookup(chosen) as asking:
            document = _explained(chosen, asked, asking)
    except Usage as error:
        print(f"slash80 why: {printable(str(error))}", file=sys.stderr)
        return 2
    except (CniError, Refused, Unreachable, OSError) as error:
        print(f"slash80 why: {printable(str(error))}", file=sys.stderr)
        return 1
    if chosen.output == "json":
        print(json.dumps(document, indent=2))
    else:
        print("\n".join(map(printable, _lines(document))))
    return 0 if document["verdict"] == Result.ALLOW else 1


def _explained(chosen: argparse.Namespace, asked: Asked | None, asking: Lookup | None) -> dict[str, Any]:
    side = gather.here(chosen)
    finder, facts = Finder(chosen.namespace, asking, side), Facts(asking, side)
    source, addresses = finder.source(chosen.source)
    asked, targets = finder.targets(chosen.destination, asked, source)
    versions = [one for one in families(addresses, targets) if chosen.family in {0, one}]
    if not versions:
        wanted = f"IPv{chosen.family} " if chosen.family else ""
        raise Failure(f"{source} and {chosen.destination} have no {wanted}addresses of one family")
    if source.kind is Kind.HOST and not any(map(_is_of_cluster, targets)):
        raise Failure(f"neither {source} nor {chosen.destination} is a pod, a Service or a node of this cluster")
    known = _known(finder, facts, [source, *(target.end for target in targets)])
    mine = {version: next(one for one in addresses if one.version == version) for version in versions}
    ways = [one for version in versions for one in _ways(source, mine[version], targets, asked=asked)]
    paths = [_path(way, refusal, known) for way, refusal in ways]
    unseen = [*facts.notes, *(f"{what}: {reason}" for what, reason in (asking.unseen if asking else {}).items())]
    return {
        "verdict": overall(path.result for path in paths).value,
        "source": str(source),
        "destination": chosen.destination,
        "asked": str(asked),
        "paths": [_document(path) for path in paths],
        "unseen": list(dict.fromkeys(unseen)),
    }


def _is_of_cluster(target: Target) -> bool:
    return target.end.kind is not Kind.HOST or target.refusal is not None


def _known(finder: Finder, facts: Facts, ends: Sequence[End]) -> Known:
    """Return what is known of the ends, of which the first one is the source."""
    pods = list({str(end.pod): end.pod for end in ends if end.pod}.values())
    node = next((end.node for end in (*ends[1:], ends[0]) if end.node), "")
    found, hidden = facts.snapshot(pods)
    declared = [(one.pod, one.declared.expose) for pod in pods if (one := finder.pod(pod.namespace, pod.name))]
    settings = facts.firewall(node)
    return Known(
        settings=settings,
        exposed=tuple(facts.exposed(declared)),
        prefixes=tuple(finder.prefixes()),
        snapshot=found,
        hidden=hidden,
        enforced=facts.enforced,
        kernel=facts.judged,
        unnamed=facts.unnamed(address for end in ends if end.kind is Kind.HOST for address in end.addresses),
        members=facts.members,
    )


def _ways(source: End, mine: Address, targets: Sequence[Target], *, asked: Asked) -> Iterator[tuple[Way, Step | None]]:
    """Yield the ways in one family, each with the step that says why a Service leads nowhere."""
    for target in targets:
        for address in [one for one in target.addresses if one.version == mine.version][:1]:
            number = asked.number(mine.version)
            yield Way(source, mine, target.end, address, number, target.port, target.translation), target.refusal


def _path(way: Way, refusal: Step | None, known: Known) -> Path:
    return Path(way, (refusal,)) if refusal else walk(way, known)


def _document(path: Path) -> dict[str, Any]:
    way = path.way
    return {
        "verdict": path.result.value,
        "family": f"IPv{way.address.version}",
        "source": {"name": str(way.source), "address": str(way.source_address)},
        "destination": {"name": str(way.destination), "address": str(way.address), "port": way.port},
        "steps": [
            {"step": step.name, "result": step.result.value, "rule": step.rule, "sentence": f"{step.sentence}."}
            for step in path.steps
        ],
    }


def _lines(document: dict[str, Any]) -> Iterator[str]:
    """Yield the answer: of paths with the same result and the same steps the first one is shown."""
    verdict = _WORDS[Result(document["verdict"])]
    yield f"{verdict}: {document['asked']} from {document['source']} to {document['destination']}"
    seen: Counter[tuple[str, ...]] = Counter()
    for path in document["paths"]:
        alike = (path["verdict"], *(step["step"] + step["result"] for step in path["steps"]))
        seen[alike] += 1
        if seen[alike] == 1:
            yield ""
            yield from _of_path(path)
    if more := sum(seen.values()) - len(seen):
        yield ""
        yield f"{more} more alike, in the other family or to other endpoints; -o json has all"
    for text in document["unseen"]:
        yield f"not seen   {text}"


def _of_path(path: dict[str, Any]) -> Iterator[str]:
    source, destination = path["source"], path["destination"]
    port = f" port {destination['port']}" if destination["port"] else ""
    ends = f"{source['address']} to {destination['address']}{port}, {destination['name']}"
    yield f"{path['family']} {_WORDS[Result(path['verdict'])]}: {ends}"
    for step in path["steps"]:
        word = {Result.DROP: "DROP", Result.UNKNOWN: "?", Result.ALLOW: "ok", Result.SEEN: "-"}[Result(step["result"])]
        yield f"  {step['step']:<9}{word:<5}{step['sentence']}"
