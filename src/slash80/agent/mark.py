"""What a node tells Kubernetes of itself: the patches that make its object say so, and none where it does already."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slash80.cluster.objects import PREFIXES, TAINT, UNAVAILABLE, NodeSeen

Condition = tuple[str, str, str]  # status, reason, message
READY = "Slash80Ready"  # the reason with which NetworkUnavailable is cleared
DRAINING, ROUTED = "Slash80PrefixDraining", "Slash80IPv4Routed"


@dataclass(frozen=True, slots=True)
class Mark:
    """What is to be seen: the prefixes in use, whether pods can be attached, and the conditions by their types."""

    prefixes: tuple[str, ...]
    ready: bool
    conditions: dict[str, Condition]


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of the Node: which part of it, the document, and the kind of patch."""

    part: str
    body: Any
    kind: str


def conditions(*, ready: bool, draining: Sequence[str], unrouted: Sequence[str]) -> dict[str, Condition]:
    """Give the conditions; NetworkUnavailable is only cleared, it is the kubelet or the cloud that sets it."""
    found: dict[str, Condition] = {}
    if ready:
        found[UNAVAILABLE] = ("False", READY, "slash80 attaches pods on this node")
    if draining:
        words = f"pods still have addresses of {', '.join(draining)}; recreate them to free the prefix"
        found[DRAINING] = ("True", "PodsLeft", words)
    else:
        found[DRAINING] = ("False", "NoneLeft", "no pod has an address of a prefix that was taken away")
    if unrouted:
        words = f"there is no route to the pods' {', '.join(unrouted)}; have the network route them to their nodes"
        found[ROUTED] = ("False", "NoRoute", words)
    else:
        found[ROUTED] = ("True", "Routed", "the node has a route to every other node's IPv4 prefixes")
    return found


def patches(own: NodeSeen, mark: Mark, now: datetime) -> Iterator[Patch]:
    """Give what is to be changed of the Node. The taint goes last: it lets pods come."""
    published = json.dumps(list(mark.prefixes))
    if own.published != published:
        yield Patch("", {"metadata": {"annotations": {PREFIXES: published}}}, "merge")
    changed = [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            **_times(now, turned=own.conditions.get(kind, ("",))[0] != status),
        }
        for kind, (status, reason, message) in mark.conditions.items()
        if own.conditions.get(kind) != (status, reason, message)
    ]
    if changed:
        yield Patch("/status", {"status": {"conditions": changed}}, "strategic-merge")
    if mark.ready and TAINT in own.taints:
        position = own.taints.index(TAINT)
        # the test fails when somebody has changed the list since: then the next time will do
        test = {"op": "test", "path": f"/spec/taints/{position}/key", "value": TAINT}
        yield Patch("", [test, {"op": "remove", "path": f"/spec/taints/{position}"}], "json")


def _times(now: datetime, *, turned: bool) -> dict[str, str]:
    text = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"lastHeartbeatTime": text, **({"lastTransitionTime": text} if turned else {})}
