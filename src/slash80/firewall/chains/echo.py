"""Chains `pings` and `untrusted_pings`: which echo requests from outside reach a pod."""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import FAMILIES
from slash80.firewall.chains import trusted
from slash80.firewall.drops import dropped
from slash80.firewall.rates import by_source, over
from slash80.firewall.records import Chain, Settings

# Sources that may use their whole rate at once. A flood of forged ones takes more meters than there are, and then no
# source has a rate of its own: what all of them have together is left.
_TOGETHER = 1000


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
        rate, together = settings.echo_rate, _TOGETHER * settings.echo_rate
        for family in FAMILIES:
            beyond = over(f"echo{family.version}", by_source(family), rate=rate, burst=rate)
            yield from dropped("echo", beyond, family=family)
        yield f"limit rate {together}/second burst {together} packets accept"
    yield from dropped("echo")
