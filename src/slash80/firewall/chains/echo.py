"""Chains `pings` and `untrusted_pings`: which echo requests from outside reach a pod."""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import Family
from slash80.firewall.chains import trusted
from slash80.firewall.records import Chain, NamedSet, Settings

_SOURCES = 65536  # whose pings are counted at once; a full set lets no further source in


def sets(family: Family) -> Iterator[NamedSet]:
    """Return the set in which the sources of pings are counted."""
    properties = f"size {_SOURCES}; flags dynamic,timeout; timeout 1m;"
    yield NamedSet(f"echo{family.version}", f"ipv{family.version}_addr", properties)


def requests(chain: str) -> Iterator[str]:
    """Return the rules that send echo requests to one of the chains."""
    yield from (f"{icmp} type echo-request goto {chain}" for icmp in ("icmp", "icmpv6"))


def chains(settings: Settings) -> tuple[Chain, ...]:
    """Return the chains."""
    untrusted = Chain("untrusted_pings", tuple(_of_the_untrusted(settings)))
    return untrusted, Chain("pings", (*trusted.accepted(), f"goto {untrusted.name}"))


def _of_the_untrusted(settings: Settings) -> Iterator[str]:
    if settings.echo == "open":
        yield "accept"
        return
    if settings.echo == "limit":
        rate = f"limit rate {settings.echo_rate}/second burst {settings.echo_rate} packets"
        # In IPv6 one source is one /64: who has one address there has all of them.
        yield f"update @echo4 {{ ip saddr {rate} }} accept"
        yield f"update @echo6 {{ ip6 saddr and ffff:ffff:ffff:ffff:: {rate} }} accept"
    yield "counter drop"
