"""Chain `midstream`: TCP connections of pods to the outside that connection tracking does not know.

A connection from outside that was made while the table was away, or whose entry is gone, would be let in again as soon
as the pod sends: connection tracking picks it up (nf_conntrack_tcp_loose) with the pod as the one who opened it.
"""

from __future__ import annotations

from collections.abc import Iterator

from slash80.firewall.chains import trusted
from slash80.firewall.drops import dropped
from slash80.firewall.records import IPPROTO_TCP, PODS, Chain, NamedSet, Settings

# Longer than a pod's TCP keeps a connection whose packets are dropped: what it sends it repeats for 15 minutes
# (tcp_retries2), an idle connection it probes after 2 hours and gives up 11 minutes later (tcp_keepalive_*).
_FOR = "3h"
PICKUP_SET = "pickup_refused"


def sets(settings: Settings) -> Iterator[NamedSet]:
    """Return the set that has TCP in it for some time after the table was put in place; the kernel takes it out."""
    if settings.closed:
        yield NamedSet(PICKUP_SET, "inet_proto", "flags timeout;", (f"{IPPROTO_TCP} timeout {_FOR}",))


def begun() -> Iterator[str]:
    """Return the rule of `edge` that sends such connections here."""
    # Connection tracking takes a SYN and an ACK for the first packet of a connection, everything else for invalid.
    yield f"ct state new iifname {PODS} oifname != {PODS} tcp flags & (syn | ack) == ack goto midstream"


def chains(settings: Settings) -> Iterator[Chain]:
    """Return the chain; who may open a connection to the pod may also have it picked up."""
    if settings.closed:
        refused = dropped("midstream", f"meta l4proto @{PICKUP_SET}")
        yield Chain("midstream", (*trusted.accepted("daddr"), *refused))
