"""Chain `masquerading`: hiding pods behind the node on their way out.

It is not called `masquerade`: nft cannot parse a chain called like its own keyword, so a listing with one could not be
loaded again, and with it the node's whole saved rule set.
"""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import Family
from slash80.firewall.records import PODS, Chain, NamedSet, Settings, prefix_set, word

_HOOK = "type nat hook postrouting priority srcnat; policy accept;"
_MULTICAST = {4: "224.0.0.0/4", 6: "ff00::/8"}


def sets(family: Family, settings: Settings) -> Iterator[NamedSet]:
    """Return the destinations that see the pod's own address, which is there even if it is empty: the rules name it."""
    yield prefix_set("keepsource", family, settings.keep_source)


def chain(settings: Settings) -> Chain:
    """Return the chain."""
    return Chain("masquerading", tuple(_rules(settings)), _HOOK)


def _rules(settings: Settings) -> Iterator[str]:
    for family in settings.masquerade:
        ip = word(family)
        keep = f"{ip} daddr != @keepsource{family.version} {ip} daddr != {_MULTICAST[family.version]}"
        # Ports at random: two connections that begin at once and look for the next free port find the same one, and
        # the second one's first packet is dropped when both are confirmed (nf_conntrack_confirm).
        yield f"iifname {PODS} oifname != {PODS} meta nfproto ipv{family.version} {keep} masquerade fully-random"
