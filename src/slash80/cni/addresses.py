"""Addresses and prefixes as text from outside: read strictly, and never with a zone, which one node only has."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)


def address(value: object) -> IPv4Address | IPv6Address:
    """Read an address; raise ValueError."""
    return ip_address(_plain(value))


def interface(value: object) -> IPv4Interface | IPv6Interface:
    """Read an address, with a prefix length or without; raise ValueError."""
    return ip_interface(_plain(value))


def network(value: object) -> IPv4Network | IPv6Network:
    """Read a prefix; raise ValueError, also when it has host bits."""
    return ip_network(_plain(value))


def _plain(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("it must be a string such as '10.80.1.5' or '2001:db8:a::/56'")  # noqa: TRY004 -- one kind of error
    if "%" in value:
        raise ValueError("it has a zone, which means something on one node only")
    return value
