"""Chain `edge`: who may open a connection to a pod from outside the node."""

from __future__ import annotations

from collections.abc import Iterator

from slash80.firewall.chains import echo, hostport, metadata, midstream, services, trusted
from slash80.firewall.records import PODS, TERMINATING, Chain, Settings

# Before other people's filters, at 0: what is dropped here no other table sees, and an accept here is not final.
_HOOK = "type filter hook forward priority filter - 10; policy accept;"


def chain(settings: Settings) -> Chain:
    """Return the chain; an open network shuts the links of deleted pods and metadata services only."""
    return Chain("edge", tuple(_rules(settings)), _HOOK)


def _rules(settings: Settings) -> Iterator[str]:
    # A dying link has no route of ours; this stops packets that foreign policy routing still sends there.
    yield f"oifname {TERMINATING} goto deleted"
    yield from metadata.jumps()
    if not settings.closed:
        return
    # Before the next two: what is led on to a pod of another node leaves by the uplink.
    yield from services.refused(settings)
    yield from midstream.begun()
    yield f"oifname != {PODS} accept"
    yield f"iifname {PODS} accept"
    # Before established connections, to which all echo requests of a series but the first belong.
    yield from echo.requests("pings")
    # Answers to what the pod began. Packets of who began a connection outside are judged one by one below: it ends when
    # it would not be let in any more, also if it was made while the table was away.
    yield "ct state established ct direction reply accept"
    # Errors about any connection, and connections that a helper expects of a protocol, as FTP's.
    yield "ct state related accept"
    yield "ct status expected accept"
    yield from hostport.refused(settings)
    yield from trusted.accepted()
    yield "goto untrusted"
