"""Covers: routes of ours that discard what no pod has of the node's prefixes.

Pods' own routes are narrower, and other people's routes to the same prefix come first. Without a cover a packet to an
address that nobody has goes round between node and router, and fills its neighbour table (RFC 7084, WPD-5).
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from slash80.addressing.family import FAMILIES, Network
from slash80.netlink import NetlinkError, Socket, Step
from slash80.wiring import live, messages


def cover(host: Socket, prefixes: Sequence[Network]) -> list[str]:
    """Have covers for these prefixes; return the commands that had to be done."""
    return _do(host, [messages.add_unreachable(prefix) for prefix in prefixes], there_already=errno.EEXIST)


def uncover(host: Socket, prefixes: Sequence[Network]) -> list[str]:
    """Have none for these prefixes; return the commands that had to be done."""
    return _do(host, [messages.delete_unreachable(prefix) for prefix in prefixes], there_already=errno.ESRCH)


def covered(host: Socket) -> list[Network]:
    """Return what has a cover of ours; one that comes while it is read may be missing."""
    kind = messages.RTN_UNREACHABLE
    found = (route for family in FAMILIES for route in live.routes(host, family, kind=kind, disturbed=True))
    ours = (messages.PROTOCOL, messages.LOWEST_PRIORITY)
    return [route.dst for route in found if (route.protocol, route.priority) == ours]


def _do(host: Socket, steps: Sequence[Step], *, there_already: int) -> list[str]:
    done = []
    for step, answer in zip(steps, host.exchange(steps), strict=True):
        if answer.errno not in {0, there_already}:
            raise NetlinkError(step, answer)
        if not answer.errno:
            done.append(step.what)
    return done
