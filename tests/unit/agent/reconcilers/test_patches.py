"""The patches that make a Node object show its status."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from slash80.agent.reconcilers.patches import Patch, patches
from slash80.cluster.objects import node as objects
from slash80.cluster.objects.node import NodeSeen
from slash80.desired.node_status import NodeStatus, conditions

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
V6 = "2001:db8:a:b:1::/80"


def _status(*, ready: bool = True, draining: Sequence[str] = (), unrouted: Sequence[str] = ()) -> NodeStatus:
    return NodeStatus((V6,), ready, conditions(ready=ready, draining=draining, unrouted=unrouted))


def test_a_node_that_has_become_ready_loses_its_taint_last() -> None:
    """Its prefixes are published and its conditions set before pods may be scheduled."""
    own = NodeSeen("a", "", taints=("other", "slash80.io/not-ready"))
    published, conditions, taint = patches(own, _status(), NOW)

    assert Patch("", {"metadata": {"annotations": {"slash80.io/prefixes": json.dumps([V6])}}}, "merge") == published
    assert ("/status", "strategic-merge") == (conditions.part, conditions.kind)
    by_type = {one["type"]: one for one in conditions.body["status"]["conditions"]}
    assert {"NetworkUnavailable": "False", "Slash80PrefixDraining": "False", "Slash80IPv4Routed": "True"} == {
        kind: one["status"] for kind, one in by_type.items()
    }
    assert "2026-01-02T03:04:05Z" == by_type["NetworkUnavailable"]["lastTransitionTime"]
    test, remove = taint.body
    assert ("/spec/taints/1/key", "slash80.io/not-ready") == (test["path"], test["value"])
    assert {"op": "remove", "path": "/spec/taints/1"} == remove


def test_a_node_that_shows_its_status_already_is_not_patched() -> None:
    """No request is sent for prefixes, conditions and a taint that are as they should be."""
    own = NodeSeen("a", "", published=json.dumps([V6]), conditions=_status().conditions)
    assert [] == [*patches(own, _status(), NOW)]


def test_a_node_that_is_not_ready_keeps_its_taint() -> None:
    """Its prefixes and the other conditions are published all the same."""
    own = NodeSeen("a", "", taints=("slash80.io/not-ready",))
    assert ["merge", "strategic-merge"] == [patch.kind for patch in patches(own, _status(ready=False), NOW)]


def test_only_a_condition_that_turned_has_a_new_time_of_transition() -> None:
    """Another reason or message alone is not a transition."""
    own = NodeSeen("a", "", published=json.dumps([V6]), conditions=_status().conditions)
    (patch,) = patches(own, _status(draining=["2001:db8::/80"]), NOW)
    (one,) = patch.body["status"]["conditions"]
    assert ("True", "2026-01-02T03:04:05Z") == (one["status"], one["lastTransitionTime"])
    assert "2001:db8::/80" in one["message"]
    (patch,) = patches(replace(own, conditions=_status(draining=["x"]).conditions), _status(draining=["y"]), NOW)
    assert "lastTransitionTime" not in patch.body["status"]["conditions"][0]


def test_a_node_reads_back_what_was_patched() -> None:
    """The status that is read from a patched Node equals the desired one, or the same patch would be sent for ever."""
    own = NodeSeen("a", "")
    document: dict[str, Any] = {"metadata": {"name": "a"}, "status": {"conditions": []}}
    for patch in patches(own, _status(), NOW):
        if patch.part:
            document["status"]["conditions"] = patch.body["status"]["conditions"]
        else:
            document["metadata"] |= patch.body["metadata"]
    assert [] == [*patches(objects.read_node(document), _status(), NOW)]
