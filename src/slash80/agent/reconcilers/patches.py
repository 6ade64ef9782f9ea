"""The patches that make a Node object show its status; none where it does already."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slash80.cluster.objects.node import PREFIXES, TAINT, NodeSeen
from slash80.desired.node_status import NodeStatus


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of the Node: which part of it, the document, and the kind of patch."""

    part: str
    body: Any
    kind: str


def patches(own: NodeSeen, wanted: NodeStatus, now: datetime) -> Iterator[Patch]:
    """Yield what has to be changed of the Node. The taint goes last: without it pods are scheduled here."""
    published = json.dumps(list(wanted.prefixes))
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
        for kind, (status, reason, message) in wanted.conditions.items()
        if own.conditions.get(kind) != (status, reason, message)
    ]
    if changed:
        yield Patch("/status", {"status": {"conditions": changed}}, "strategic-merge")
    if wanted.ready and TAINT in own.taints:
        position = own.taints.index(TAINT)
        # a list is patched by position: the test fails if it was changed since, and the next run tries again
        test = {"op": "test", "path": f"/spec/taints/{position}/key", "value": TAINT}
        yield Patch("", [test, {"op": "remove", "path": f"/spec/taints/{position}"}], "json")


def _times(now: datetime, *, turned: bool) -> dict[str, str]:
    text = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"lastHeartbeatTime": text, **({"lastTransitionTime": text} if turned else {})}
