"""Ports of a transport protocol as settings and annotations write them: `tcp/443`, `udp/8000-8100`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

LAST_PORT = 65535
_WRITTEN = re.compile(r"(tcp|udp|sctp)/([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?")


class Protocol(int):
    """A transport protocol with ports, by its number: nft looks names up in /etc/protocols, which a node may lack."""

    def __str__(self) -> str:
        """Write it as CNI and Kubernetes do."""
        return _NAMES.get(self, super().__str__())


TCP, UDP, SCTP = PROTOCOLS = Protocol(6), Protocol(17), Protocol(132)
_NAMES = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}
BY_NAME = {name: protocol for protocol, name in _NAMES.items()}


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """One port of a protocol, or all from `first` to `last`."""

    protocol: str
    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> PortRange:
        """Read `protocol/port` or `protocol/first-last`; raise ValueError."""
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError("it must be tcp, udp or sctp, a slash and a port or a range, as in 'tcp/8000-8100'")
        protocol, first = found[1], int(found[2])
        last = int(found[3] or first)
        if not first <= last <= LAST_PORT:
            raise ValueError(f"ports are from 1 to {LAST_PORT}, and the lower one comes first")
        return cls(protocol, first, last)

    @property
    def number(self) -> Protocol:
        """The protocol by its number, which nft takes everywhere."""
        return BY_NAME[self.protocol]

    @property
    def ports(self) -> str:
        """The ports in nft's words."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __str__(self) -> str:
        """Write it as it is read."""
        return f"{self.protocol}/{self.ports}"


def merged(ranges: Iterable[PortRange]) -> tuple[PortRange, ...]:
    """Return the same ports in order, without ranges that overlap or adjoin: an interval set refuses overlaps."""
    found: list[PortRange] = []
    for one in sorted(ranges):
        last = found[-1] if found else None
        if last and last.protocol == one.protocol and one.first <= last.last + 1:
            found[-1] = PortRange(one.protocol, last.first, max(last.last, one.last))
        else:
            found.append(one)
    return tuple(found)
