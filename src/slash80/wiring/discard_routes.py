"""Discard routes: unreachable routes of ours for the node's prefixes, for addresses that no pod has.

Pods' own routes are more specific, and others' routes to the same prefix have a lower metric. Without a discard route a
packet to an unassigned address loops between node and router and fills its neighbour table (RFC 7084, WPD-5).
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from slash80.addressing.family import FAMILIES, Prefix
from slash80.netlink.codec import NetlinkError, Step
from slash80.netlink.socket import Socket
from slash80.wiring import query, route_messages


def ensure(host: Socket, prefixes: Sequence[Prefix]) -> list[str]:
    """Have discard routes for these prefixes; return the `ip` commands that were needed."""
    return _do(host, [route_messages.add_unreachable(prefix) for prefix in prefixes], there_already=errno.EEXIST)


def delete(host: Socket, prefixes: Sequence[Prefix]) -> list[str]:
    """Delete the discard routes of these prefixes; return the `ip` commands that were needed."""
    return _do(host, [route_messages.delete_unreachable(prefix) for prefix in prefixes], there_already=errno.ESRCH)


def present(host: Socket) -> list[Prefix]:
    """Return the prefixes that have a discard route of ours; one that is added meanwhile may be missing."""
    kind = route_messages.RTN_UNREACHABLE
    found = (route for family in FAMILIES for route in query.routes(host, family, kind=kind, allow_interrupted=True))
    ours = (route_messages.PROTOCOL, route_messages.LOWEST_PRIORITY)
    return [route.dst for route in found if (route.protocol, route.priority) == ours]


def _do(host: Socket, steps: Sequence[Step], *, there_already: int) -> list[str]:
    done = []
    for step, answer in zip(steps, host.exchange(steps), strict=True):
        if answer.errno not in {0, there_already}:
            raise NetlinkError(step, answer)
        if not answer.errno:
            done.append(step.what)
    return done
