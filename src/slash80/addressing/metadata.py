"""Addresses of clouds' metadata services: every program that asks there gets the credentials of its machine.

All of the link-local range would be too much: AWS has its resolver (169.254.169.253) and its clock (169.254.169.123)
there, and EKS the credentials that are the pod's own (169.254.170.23, fd00:ec2::23).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from slash80.addressing.family import Address

SERVICES4 = tuple(
    map(
        IPv4Address,
        (
            "169.254.169.254",  # AWS, Azure, Google, Oracle, OpenStack, Hetzner, DigitalOcean, Linode and more
            "169.254.170.2",  # AWS, credentials of tasks
            "169.254.0.23",  # Tencent
            "169.254.42.42",  # Scaleway
            "168.63.129.16",  # Azure's host
            "100.100.100.200",  # Alibaba
        ),
    )
)
SERVICES6 = tuple(
    map(
        IPv6Address,
        (
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google
            "fd00:c1::a9fe:a9fe",  # Oracle
            "fd00:a9fe:a9fe::1",  # Linode
            "fd00:42::42",  # Scaleway
        ),
    )
)
_EMBEDDED = 0xFFFFFFFF


def embedded(address: IPv4Address) -> IPv6Address:
    """Return the part of an IPv6 address by which a NAT64 knows the IPv4 address that it leads to, its last 32 bits.

    So it is for every prefix of 96 bits: 64:ff9b::/96, those that networks choose for themselves (RFC 6052, 2.2), and
    ::ffff:0:0/96.
    """
    return IPv6Address(int(address))


def leads_to(address: IPv6Address) -> IPv6Address:
    """Return what `embedded` does of the IPv4 address that a NAT64 would lead this one to."""
    return IPv6Address(int(address) & _EMBEDDED)


def is_service(address: Address) -> bool:
    """Report whether this is the address of a metadata service, or one that a NAT64 translates to it."""
    if isinstance(address, IPv4Address):
        return address in SERVICES4
    return address in SERVICES6 or IPv4Address(int(address) & _EMBEDDED) in SERVICES4
