"""An address family as a value that carries its constants, so that dual stack is a loop and not two of everything."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """IPv4 or IPv6, with its gateway, which is on every host end, and the destination of its default routes.

    There are only the two below, compared by identity: by their fields it takes 6 us, thirty times in an ADD.
    """

    version: int
    bits: int
    af: int
    gateway: Address
    gateway_length: int
    everything: Prefix

    def __str__(self) -> str:
        """Name the family for people."""
        return f"IPv{self.version}"

    @property
    def key(self) -> str:
        """The family's name in the configuration."""
        return f"ipv{self.version}"

    def address(self, number: int) -> Address:
        """Make an address of this family from an integer."""
        return IPv4Address(number) if self.version == 4 else IPv6Address(number)


# The same gateways on every host end: nothing to allocate, nothing to clash, and the pod's routes never change.
IPV4 = Family(4, 32, socket.AF_INET, ip_address("169.254.1.1"), 32, ip_network("0.0.0.0/0"))
IPV6 = Family(6, 128, socket.AF_INET6, ip_address("fe80::1"), 64, ip_network("::/0"))
FAMILIES = (IPV4, IPV6)
_OF_IPV4 = (IPv4Address, IPv4Network)


def family_of(value: Address | Prefix) -> Family:
    """Return the family of an address or network."""
    return IPV4 if isinstance(value, _OF_IPV4) else IPV6
