"""What Kubernetes should see of a node: its prefixes, whether pods can be attached, its conditions and its taint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slash80.cluster.objects.node import UNAVAILABLE
from slash80.desired.node import Desired

_LISTED = 64  # prefixes in a sentence: the API takes no condition of more than 32 KiB
Condition = tuple[str, str, str]  # status, reason, message
READY = "Slash80Ready"  # the reason with which NetworkUnavailable is cleared
DRAINING, ROUTED = "Slash80PrefixDraining", "Slash80IPv4Routed"


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What should be seen; whether the taint has to go follows from `ready`. It is never set: who adds a node does."""

    prefixes: tuple[str, ...]
    ready: bool
    conditions: dict[str, Condition]


def ready(in_force: Iterable[bool]) -> bool:
    """Return the verdict of all parts that a pod needs: only with each of them in force can one be attached."""
    return all(in_force)


def node_status(desired: Desired, *, ready: bool, unrouted: Sequence[str]) -> NodeStatus:
    """Return the status; `unrouted` are IPv4 prefixes of other nodes that this one has no route to."""
    return NodeStatus(desired.prefixes, ready, conditions(ready=ready, draining=desired.draining, unrouted=unrouted))


def conditions(*, ready: bool, draining: Sequence[str], unrouted: Sequence[str]) -> dict[str, Condition]:
    """Return the conditions; NetworkUnavailable is only cleared, it is the kubelet or the cloud that sets it."""
    found: dict[str, Condition] = {}
    if ready:
        found[UNAVAILABLE] = ("False", READY, "slash80 attaches pods on this node")
    if draining:
        words = f"pods still have addresses of {_listed(draining)}; recreate them to free the prefix"
        found[DRAINING] = ("True", "PodsLeft", words)
    else:
        found[DRAINING] = ("False", "NoneLeft", "no pod has an address of a prefix that was taken away")
    if unrouted:
        words = f"there is no route to the pods' {_listed(unrouted)}; have the network route them to their nodes"
        found[ROUTED] = ("False", "NoRoute", words)
    else:
        found[ROUTED] = ("True", "Routed", "the node has a route to every other node's IPv4 prefixes")
    return found


def _listed(prefixes: Sequence[str]) -> str:
    more = f" and {len(prefixes) - _LISTED} more" if len(prefixes) > _LISTED else ""
    return ", ".join(prefixes[:_LISTED]) + more
