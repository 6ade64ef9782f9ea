"""What of a node's own prefixes no other node accepts: what lies outside the cluster's prefixes, or in the Services'.

netaddr, since sets of prefixes are subtracted and intersected here, and `ipaddress` does that for two prefixes only. It
takes 20 ms to import, so neither a call nor a process that answers calls loads it: only the controller's first look.
"""

from __future__ import annotations

from collections.abc import Iterable

from slash80.addressing.family import Prefix
from slash80.desired.problems import Problem, Reason


def problems(own: Iterable[str | Prefix], cluster: Iterable[Prefix], services: Iterable[str | Prefix]) -> list[Problem]:
    """Return a problem for each part of a node's prefixes that others ignore; with no `cluster` none is outside."""
    from netaddr import IPSet  # noqa: PLC0415 -- after the processes that answer calls were forked

    mine, whole, taken = (IPSet(map(str, prefixes)) for prefixes in (own, cluster, services))
    found = []
    if whole:
        for part in (mine - whole).iter_cidrs():
            message = f"{part} of this node lies outside clusterPrefixes, so other nodes do not accept it; add it there"
            found.append(Problem(Reason.PREFIX_OUTSIDE_CLUSTER, str(part), message))
    for part in (mine & taken).iter_cidrs():
        message = f"{part} of this node is in the Services' ranges, so other nodes do not accept it; use another prefix"
        found.append(Problem(Reason.PREFIX_OVERLAPS_SERVICES, str(part), message))
    return found
