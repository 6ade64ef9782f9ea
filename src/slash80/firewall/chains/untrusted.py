"""Chain `untrusted`: what opens a connection to a pod without being trusted."""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import IPV6
from slash80.firewall.chains import exposed, hostport, services
from slash80.firewall.drops import dropped
from slash80.firewall.rates import PODS_KEYS, over
from slash80.firewall.records import Chain, Settings

# By pod and not by source, which is the one router with the narrow link. A pod with a thousand connections behind it
# gets what they need at once; those that connection tracking knows are not counted.
_TOO_BIG_RATE, _TOO_BIG_BURST = 100, 1000
_TOO_BIG = "icmpv6 type packet-too-big"


def chain(settings: Settings) -> Chain:
    """Return the chain, which accepts or drops every packet."""
    return Chain("untrusted", tuple(_rules(settings)))


def _rules(settings: Settings) -> Iterator[str]:
    # Connection tracking calls a packet-too-big invalid that quotes a packet which it does not know; without it large
    # packets vanish (RFC 4890, 4.3.1). The other ICMPv6 errors pass as related, echo replies as established.
    beyond = over("too_big6", "ip6 daddr", rate=_TOO_BIG_RATE, burst=_TOO_BIG_BURST, keys=PODS_KEYS)
    yield from dropped("too_big", f"{_TOO_BIG} {beyond}", family=IPV6)
    yield f"{_TOO_BIG} accept"
    yield from hostport.judged(settings)
    yield from services.accepted(settings)
    yield from exposed.accepted(settings)
    yield from dropped("untrusted")
