"""How many connections there may be, so that no one can use up what is meant for others: counts, no sockets.

Before the handshake a connection is only from somewhere: the member whose prefixes its address is in, else its network.
Of too many the oldest one of the origin with most of them is given up; an honest handshake is over before it gets old.
After it a connection is a member's, of whose places the others cannot have any.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from typing import Generic, TypeVar

from slash80.addressing.family import Address, Prefix

T = TypeVar("T", bound=Hashable)
MOST, EACH, UNPROVED = 256, 4, 64


@dataclass
class ConnectionLimits(Generic[T]):
    """What is open, for any number of threads."""

    most: int = MOST
    each: int = EACH
    unproved: int = UNPROVED
    _waiting: dict[T, Hashable] = field(default_factory=dict)
    _proved: dict[T, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arrived(self, connection: T, origin: Hashable) -> T | None:
        """Take a connection whose handshake begins; return one that has to be given up for it."""
        with self._lock:
            self._waiting[connection] = origin
            if len(self._waiting) <= self.unproved:
                return None
            most = Counter(self._waiting.values()).most_common(1)[0][0]
            victim = next(one for one, of in self._waiting.items() if of == most)
            del self._waiting[victim]
            return victim

    def proved(self, connection: T, member: str, members: int) -> bool:
        """Count a connection as that of one of so many members; return whether it may stay."""
        share = max(1, min(self.each, self.most // max(1, members)))
        with self._lock:
            if self._waiting.pop(connection, None) is None or len(self._proved) >= self.most:
                return False
            if sum(of == member for of in self._proved.values()) >= share:
                return False
            self._proved[connection] = member
            return True

    def left(self, connection: T) -> None:
        """Forget a connection."""
        with self._lock:
            self._waiting.pop(connection, None)
            self._proved.pop(connection, None)

    def all(self) -> list[T]:
        """Return all connections, the oldest first."""
        with self._lock:
            return [*self._waiting, *self._proved]


def network(address: Address) -> Prefix | Address:
    """Return whose address it is, as far as can be told: a /64 of IPv6 is one host's or one link's."""
    return IPv6Network((int(address) >> 64 << 64, 64)) if address.version == 6 else address
