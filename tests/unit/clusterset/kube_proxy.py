"""To which endpoints kube-proxy sends a connection to a ClusterIP: its rule, as `pkg/proxy/topology.go` has it.

Written from the rule of Kubernetes 1.35, apart from everything that is tested with it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

EndpointDocument = Mapping[str, Any]  # as in an EndpointSlice of the API


def reached(
    endpoints: Iterable[EndpointDocument], *, node: str = "", zone: str = "", policy: str = "Cluster"
) -> set[str]:
    """Return the addresses that a node's connections go to: ready endpoints, or else those that end but serve."""
    known = list(endpoints)
    if policy == "Local":
        known = [one for one in known if one.get("nodeName") == node]
        return _addresses(filter(_ready, known)) or _addresses(filter(_ending, known))
    ready = [one for one in known if _ready(one)]
    return _addresses(_near(ready, node, zone)) or _addresses(filter(_ending, known))


def _near(ready: list[EndpointDocument], node: str, zone: str) -> list[EndpointDocument]:
    """Return those for this node or this zone, if each has a hint of that kind and one of them is for this one."""
    for kind, here in (("forNodes", node), ("forZones", zone)):
        hints = [{hint["name"] for hint in one.get("hints", {}).get(kind, [])} for one in ready]
        if all(hints) and any(here in one for one in hints):
            return [one for one, hinted in zip(ready, hints, strict=True) if here in hinted]
    return ready


def _ready(one: EndpointDocument) -> bool:
    return one["conditions"].get("ready") is not False


def _ending(one: EndpointDocument) -> bool:
    return bool(one["conditions"].get("serving") and one["conditions"].get("terminating"))


def _addresses(endpoints: Iterable[EndpointDocument]) -> set[str]:
    return {address for one in endpoints for address in one["addresses"]}
