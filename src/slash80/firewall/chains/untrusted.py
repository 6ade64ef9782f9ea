"""Chain `untrusted`: what opens a connection to a pod without being trusted."""

from __future__ import annotations

from slash80.firewall.chains import services
from slash80.firewall.records import Chain, Settings


def chain(settings: Settings) -> Chain:
    """Return the chain, which accepts or drops every packet."""
    # Connection tracking calls a packet-too-big invalid that quotes a packet which it does not know; without it large
    # packets vanish (RFC 4890, 4.3.1). The other ICMPv6 errors pass as related, echo replies as established.
    return Chain("untrusted", ("icmpv6 type packet-too-big accept", *services.accepted(settings), "counter drop"))
