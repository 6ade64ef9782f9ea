"""Chains `opened` and `arrived`: how many connections a pod opens in a second, and an untrusted host to pods.

All pods of a node share its table of connections (`nf_conntrack_max`), which one pod would fill in seconds. The chains
are of type nat: the kernel asks those for the first packet of a connection only, so the others cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import FAMILIES
from slash80.firewall.chains import trusted
from slash80.firewall.chains.forged import own_set
from slash80.firewall.drops import dropped
from slash80.firewall.rates import OTHER_KEYS, PODS_KEYS, by_source, over
from slash80.firewall.records import PODS, Chain, Settings, word

# Before those of other tables: once one of them has translated the connection no further chain is asked.
_BEGINS = "type nat hook prerouting priority dstnat - 50; policy accept;"
# Where only what all filters have let in comes by.
_ARRIVES = "type nat hook postrouting priority srcnat - 50; policy accept;"
_BURST = 4  # seconds of the rate that may come at once


def chains(settings: Settings) -> Iterator[Chain]:
    """Return the chains."""
    if settings.connection_rate:
        yield Chain("too_many", tuple(dropped("rate")))
        opened = _beyond("opened", "iifname", settings, keys=PODS_KEYS)
        yield Chain("opened", (f"iifname {PODS} {opened}",), _BEGINS)
        yield Chain("arrived", tuple(_arrived(settings)), _ARRIVES)


def _arrived(settings: Settings) -> Iterator[str]:
    yield f"oifname != {PODS} accept"
    yield f"iifname {PODS} accept"
    # Trusted pods are limited on their own node, whose pods have one /64 together.
    yield from trusted.accepted()
    yield from (f"{word(family)} saddr @{own_set(family)} accept" for family in FAMILIES)
    # By source, and not by pod: else a flood of a few thousand SYNs would close an exposed port to everybody.
    yield from (_beyond(f"arrived{family.version}", by_source(family), settings) for family in FAMILIES)


def _beyond(meter: str, key: str, settings: Settings, *, keys: int = OTHER_KEYS) -> str:
    rate = settings.connection_rate
    return f"{over(meter, key, rate=rate, burst=_BURST * rate, keys=keys)} goto too_many"
