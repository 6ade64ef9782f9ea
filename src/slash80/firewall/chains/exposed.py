"""Ports of pods that everybody may reach: those of all pods by the settings, those of one pod by its elements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from slash80.addressing.family import FAMILIES
from slash80.addressing.ports import merged
from slash80.firewall.exposed_ports import exposed_set
from slash80.firewall.records import NamedSet, Settings, word

_PROTOCOL = {4: "ip protocol", 6: "ip6 nexthdr"}
OF_EVERY_POD = NamedSet("exposed", "inet_proto . inet_service", "flags interval;")


def sets(settings: Settings) -> Iterator[NamedSet]:
    """Return the set of ports that are open at every pod."""
    if ports := merged(settings.expose):
        elements = tuple(f"{one.number:d} . {one.ports}" for one in ports)
        yield replace(OF_EVERY_POD, elements=elements)


def accepted(settings: Settings) -> Iterator[str]:
    """Return the rules that accept what goes there.

    Every packet of the side that began the connection is asked, so it ends when the port is closed. Of a protocol
    without ports `th dport` would be some other bytes, but then the protocol is none of those in the sets. It is read
    from the IP header: nft (1.0.6) has a `meta l4proto` in a key of intervals turned around, as two bytes of which it
    has one, and that newer kernels refuse (6.12.118: EOPNOTSUPP). So IPv6 with extension headers is not let in.
    """
    for family in FAMILIES:
        if settings.expose:
            yield f"{_PROTOCOL[family.version]} . th dport @{OF_EVERY_POD.name} accept"
        if settings.pods_expose:
            key = f"{word(family)} daddr . {_PROTOCOL[family.version]} . th dport"
            yield f"{key} @{exposed_set(family)} accept"
