"""Which addresses no pod of another cluster can have: what is not unicast, and what a host or a translator keeps.

Documentation and benchmark ranges are not among them: nothing routes them on the Internet, and laboratories do.
"""

from __future__ import annotations

from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from slash80.addressing.family import Address, Prefix
from slash80.addressing.metadata import SERVICES4, SERVICES6

_RANGES4 = {
    "0.0.0.0/8": "this network (RFC 791)",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "192.0.0.0/24": "IETF protocol assignments (RFC 6890)",
    "192.88.99.0/24": "6to4 relays (RFC 7526)",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved, with the broadcast address",
}
# Outside of these two there is no unicast address that is routed (RFC 4291, section 2.4; RFC 4193).
_GLOBAL, _ULA = IPv6Network("2000::/3"), IPv6Network("fc00::/7")
_RANGES6 = {
    "2001::/23": "IETF protocol assignments, with Teredo (RFC 2928)",
    "2002::/16": "6to4 (RFC 3056)",
}
# Those outside of global unicast and ULA, by name, since people ask why.
_NAMES6 = {
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::ffff:0:0/96": "IPv4-mapped",
    "64:ff9b::/96": "NAT64 (RFC 6052)",
    "64:ff9b:1::/48": "NAT64 (RFC 8215)",
    "100::/64": "discard-only (RFC 6666)",
    "fe80::/10": "link-local",
    "ff00::/8": "multicast",
}


def special(value: Address | Prefix) -> str | None:
    """Return what makes an address or a prefix, or a part of it, impossible for pods; None if nothing does."""
    if isinstance(value, IPv4Address | IPv6Address):
        return _of_address(value)
    name = _of_span(value.version, int(value.network_address), int(value.broadcast_address))
    if name or isinstance(value, IPv4Network) or value.subnet_of(_GLOBAL) or value.subnet_of(_ULA):
        return name
    return "neither global unicast nor ULA"


def _of_address(value: Address) -> str | None:
    number = int(value)
    if number in _metadata(value.version):
        return "a cloud's metadata service"
    name = _of_span(value.version, number, number)
    if name or value.version == 4 or value in _GLOBAL or value in _ULA:
        return name
    return "neither global unicast nor ULA"


def _of_span(version: int, first: int, last: int) -> str | None:
    for start, end, name in _spans(version):
        if first <= end and start <= last:
            return name
    return None


@cache
def _spans(version: int) -> tuple[tuple[int, int, str], ...]:
    if version == 4:
        return tuple(_span(IPv4Network(text), name) for text, name in _RANGES4.items())
    return tuple(_span(IPv6Network(text), name) for text, name in (_RANGES6 | _NAMES6).items())


def _span(prefix: Prefix, name: str) -> tuple[int, int, str]:
    return int(prefix.network_address), int(prefix.broadcast_address), name


@cache
def _metadata(version: int) -> frozenset[int]:
    return frozenset(map(int, SERVICES4 if version == 4 else SERVICES6))
