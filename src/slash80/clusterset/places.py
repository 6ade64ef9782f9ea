"""Where a member's server may be: the order in which places are tried, and names that are looked up each time."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from slash80.settings.clusterset import PORT, Member, Place

_MOST = 8  # places for each time that a member is looked for
_ADDRESSES = 4  # of a name

Resolve = Callable[[str, int], list[str]]


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a DNS name, or of an address itself; raise OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [*dict.fromkeys(str(entry[4][0]) for entry in found)][:_ADDRESSES]


@dataclass
class Places:
    """Where a member was found, and where others say it is.

    Its own connections to this cluster show where it is now: without NAT they come from the pod that serves, too.
    """

    found: Place | None = None
    seen: str = ""

    def tries(self, member: Member, hints: Iterable[str], resolve: Resolve = look_up) -> Iterator[tuple[Place, str]]:
        """Yield places with the reason why nothing is there to be tried, or none.

        What other members say counts only within this member's own prefixes: it must not lead anywhere else.
        """
        tried: set[Place] = set()
        for place in self._candidates(member, hints):
            try:
                addresses = resolve(place.host, place.port)
            except (OSError, UnicodeError) as error:
                yield place, f"{place.host} cannot be looked up: {error}"
                continue
            for address in addresses:
                one = Place(address, place.port)
                if one not in tried and len(tried) < _MOST:
                    tried.add(one)
                    yield one, ""

    def _candidates(self, member: Member, hints: Iterable[str]) -> Iterator[Place]:
        port = member.at[0].port if member.at else PORT
        if self.seen:
            yield Place(self.seen, port)
        if self.found:
            yield self.found
        yield from member.at
        for hint in hints:
            if _within(hint, member):
                yield Place(hint, port)


def _within(hint: str, member: Member) -> bool:
    try:
        address = ipaddress.ip_address(hint)
    except ValueError:
        return False
    return any(address in prefix for prefix in member.prefixes)
