"""What a node tells Kubernetes of itself."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from slash80.agent import mark
from slash80.agent.mark import Mark, Patch
from slash80.cluster import objects
from slash80.cluster.objects import NodeSeen

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
V6 = "2001:db8:a:b:1::/80"


def _mark(*, ready: bool = True, draining: Sequence[str] = (), unrouted: Sequence[str] = ()) -> Mark:
    return Mark((V6,), ready, mark.conditions(ready=ready, draining=draining, unrouted=unrouted))


def test_a_node_that_has_become_ready() -> None:
    """Its prefixes are published, the conditions set, and the taint goes last."""
    own = NodeSeen("a", "", taints=("other", "slash80.io/not-ready"))
    published, conditions, taint = mark.patches(own, _mark(), NOW)

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


def test_a_node_that_says_it_already_is_left_alone() -> None:
    """No request goes out for what is so."""
    own = NodeSeen("a", "", published=json.dumps([V6]), conditions=_mark().conditions)
    assert [] == [*mark.patches(own, _mark(), NOW)]


def test_a_node_that_is_not_ready_stays_closed() -> None:
    """Neither is the network called available nor the taint removed."""
    own = NodeSeen("a", "", taints=("slash80.io/not-ready",))
    kinds = [patch.kind for patch in mark.patches(own, _mark(ready=False), NOW)]
    assert ["merge", "strategic-merge"] == kinds
    assert "NetworkUnavailable" not in _mark(ready=False).conditions


def test_only_what_turned_has_a_new_time_of_transition() -> None:
    """Another reason alone is none."""
    own = NodeSeen("a", "", published=json.dumps([V6]), conditions=_mark().conditions)
    (patch,) = mark.patches(own, _mark(draining=["2001:db8::/80"]), NOW)
    (one,) = patch.body["status"]["conditions"]
    assert ("True", "2026-01-02T03:04:05Z") == (one["status"], one["lastTransitionTime"])
    assert "2001:db8::/80" in one["message"]
    (patch,) = mark.patches(replace(own, conditions=_mark(draining=["x"]).conditions), _mark(draining=["y"]), NOW)
    assert "lastTransitionTime" not in patch.body["status"]["conditions"][0]


def test_an_ipv4_prefix_without_a_route_is_named() -> None:
    """Without an overlay somebody must route it."""
    status, reason, message = _mark(unrouted=["10.80.2.0/24"]).conditions["Slash80IPv4Routed"]
    assert ("False", "NoRoute") == (status, reason)
    assert "10.80.2.0/24" in message


def test_what_is_read_back_is_what_was_written() -> None:
    """Else the same patch would go out again and again."""
    own = NodeSeen("a", "")
    document: dict[str, Any] = {"metadata": {"name": "a"}, "status": {"conditions": []}}
    for patch in mark.patches(own, _mark(), NOW):
        if patch.part:
            document["status"]["conditions"] = patch.body["status"]["conditions"]
        else:
            document["metadata"] |= patch.body["metadata"]
    assert [] == [*mark.patches(objects.node(document), _mark(), NOW)]
