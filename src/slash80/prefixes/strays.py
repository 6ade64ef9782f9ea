"""What of a node's own prefixes no other node accepts: what lies outside the cluster's prefixes, or in the Services'.

netaddr, since sets of prefixes are subtracted and intersected here, and `ipaddress` does that for two prefixes only. It
takes 20 ms to import, so neither a call nor a process that answers calls loads this module.
"""

from __future__ import annotations

from collections.abc import Iterable

from netaddr import IPSet

from slash80.addressing.family import Prefix
from slash80.desired.problems import Problem, Reason


def problems(own: Iterable[str | Prefix], cluster: Iterable[Prefix], services: Iterable[str | Prefix]) -> list[Problem]:
    """Return a problem for each part of a node's prefixes that others ignore; with no `cluster` none is outside."""
    mine, whole = _set(own), _set(cluster)
    found = []
    if whole:
        for part in (mine - whole).iter_cidrs():
            message = f"{part} of this node lies outside clusterPrefixes, so other nodes do not accept it; add it there"
            found.append(Problem(Reason.PREFIX_OUTSIDE_CLUSTER, str(part), message))
    for part in (mine & _set(services)).iter_cidrs():
        message = f"{part} of this node is in the Services' ranges, so other nodes do not accept it; use another prefix"
        found.append(Problem(Reason.PREFIX_OVERLAPS_SERVICES, str(part), message))
    return found


def _set(prefixes: Iterable[str | Prefix]) -> IPSet:
    return IPSet(map(str, prefixes))
