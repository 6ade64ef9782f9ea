"""`slash80 policy show POD`: which NetworkPolicies apply to a pod, and what they let it receive and send."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from slash80.cli import gather, refused_here
from slash80.cli.question import Finder
from slash80.cli.tables import printable
from slash80.cluster.api import Refused, Unreachable
from slash80.cluster.lookup import Lookup
from slash80.errors import CniError, Failure
from slash80.explain.policies import applied
from slash80.policy.model import Direction, Pod

_MAY = {Direction.INGRESS: "receive", Direction.EGRESS: "send"}


def show(chosen: argparse.Namespace) -> int:
    """Show what applies to a pod; 1 where a policy of it cannot be used, or the pod is not found."""
    try:
        with gather.lookup(chosen) as asking:
            document = _applying(chosen, asking)
    except (CniError, Refused, Unreachable, OSError) as error:
        print(f"slash80 policy show: {printable(str(error))}", file=sys.stderr)
        return 1
    if chosen.output == "json":
        print(json.dumps(document, indent=2))
    else:
        print("\n".join(map(printable, _lines(document))))
    return 1 if any(one["broken"] for direction in Direction for one in document[direction]["policies"]) else 0


def _applying(chosen: argparse.Namespace, asking: Lookup | None) -> dict[str, Any]:
    if asking is None:
        raise Failure(
            "no API was found to ask for NetworkPolicies; give --kubeconfig, or run this where the agent does"
        )
    namespace, _, name = chosen.pod.rpartition("/")
    found = Finder(chosen.namespace, asking, None).pod(namespace or chosen.namespace, name)
    unseen = [f"{what}: {reason}" for what, reason in asking.unseen.items()]
    if found is None:
        raise Failure(unseen[0] if unseen else f"there is no pod {namespace or chosen.namespace}/{name}")
    if (policies := asking.policies(found.pod.namespace)) is None:
        raise Failure(next(f"{what}: {reason}" for what, reason in asking.unseen.items()))
    policies = refused_here.read(chosen.state_dir).in_force(policies, [found.pod])
    directions = {
        direction.value: {
            "isolated": bool(one := applied(found.pod, policies, direction)),
            "policies": [asdict(each) | {"rules": list(each.rules)} for each in one],
        }
        for direction in Direction
    }
    return _of_pod(found.pod) | directions | {"unseen": unseen}


def _of_pod(pod: Pod) -> dict[str, Any]:
    return {
        "pod": str(pod),
        "node": pod.node,
        "addresses": list(map(str, pod.addresses)),
        "selectable": pod.selectable,
    }


def _lines(document: dict[str, Any]) -> Iterator[str]:
    addresses = ", ".join(document["addresses"]) or "no address yet"
    yield f"pod        {document['pod']}, {addresses}, on node {document['node'] or 'none yet'}"
    if not document["selectable"]:
        yield "policies   none can apply: the pod has its node's network, or has ended"
        return
    for direction in Direction:
        yield from _of_direction(direction, document[direction])
    for text in document["unseen"]:
        yield f"not seen   {text}"


def _of_direction(direction: Direction, found: dict[str, Any]) -> Iterator[str]:
    if not found["isolated"]:
        yield f"{direction:<11}not isolated: it may {_MAY[direction]} everything that the firewall lets pass"
        return
    names = ", ".join(one["policy"] for one in found["policies"])
    yield f"{direction:<11}isolated by {names}; beside its own node and answers it may {_MAY[direction]}"
    rules = [(one["policy"], rule) for one in found["policies"] for rule in one["rules"]]
    yield from (f"{'':<11}{rule} ({policy})" for policy, rule in rules)
    if not rules:
        yield f"{'':<11}nothing"
    for one in found["policies"]:
        if one["broken"]:
            yield f"{'':<11}{one['policy']} cannot be used and allows nothing: {one['broken']}"
