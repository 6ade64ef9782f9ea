"""Chains `masquerading` and `hidden`: hiding pods behind the node on their way out.

The first is not called `masquerade`: nft cannot parse a chain called like its own keyword, so a listing with one could
not be loaded again, and with it the node's whole saved rule set.
"""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import Family
from slash80.firewall.chains import hostport
from slash80.firewall.drops import dropped
from slash80.firewall.rates import over
from slash80.firewall.records import PODS, Chain, NamedSet, Settings, prefix_set, word

_HOOK = "type nat hook postrouting priority srcnat; policy accept;"
_MULTICAST = {4: "224.0.0.0/4", 6: "ff00::/8"}
# All pods share 64,512 source ports for each port of each host outside. TCP keeps one for two minutes after its end
# (nf_conntrack_tcp_timeout_time_wait), UDP for half a minute (nf_conntrack_udp_timeout): these rates are half of them.
_RATES = {"tcp": 250, "udp": 1000}
_BURST = 4  # seconds of the rate that may come at once


def keep_source_set(family: Family) -> str:
    """Return the name of the set of destinations that see the pod's own address."""
    return f"keepsource{family.version}"


def sets(family: Family, settings: Settings) -> Iterator[NamedSet]:
    """Return the destinations that see the pod's own address, which is there even if it is empty: the rules name it."""
    yield prefix_set("keepsource", family, settings.keep_source)


def chains(settings: Settings) -> Iterator[Chain]:
    """Return the chains."""
    if settings.masquerade:
        yield Chain("hidden", tuple(_hidden(settings)))
    yield Chain("masquerading", tuple(_rules(settings)), _HOOK)


def _rules(settings: Settings) -> Iterator[str]:
    yield from hostport.masqueraded()
    for family in settings.masquerade:
        ip = word(family)
        keep = f"{ip} daddr != @{keep_source_set(family)} {ip} daddr != {_MULTICAST[family.version]}"
        yield f"iifname {PODS} oifname != {PODS} meta nfproto ipv{family.version} {keep} goto hidden"


def _hidden(settings: Settings) -> Iterator[str]:
    for family in settings.masquerade:
        for protocol, rate in _RATES.items():
            key = f"iifname . {word(family)} daddr . {protocol} dport"
            beyond = over(f"{protocol}ports{family.version}", key, rate=rate, burst=_BURST * rate)
            yield from dropped("ports", beyond, family=family)
    # Ports at random: two connections that begin at once and look for the next free port find the same one, and the
    # second one's first packet is dropped when both are confirmed (nf_conntrack_confirm).
    yield "masquerade fully-random"
