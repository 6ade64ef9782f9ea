"""How the lower part of a pod's IPv6 comes about; in a /80 those 48 bits are the pod's MAC too."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from slash80.addressing.attachment import Key
from slash80.addressing.family import Prefix
from slash80.addressing.mac import Mac

MAC_BITS = 48
_EMBEDDED = 0x0280 << 32  # 02:80, a locally administered unicast MAC, before the IPv4


class Suffix(StrEnum):
    """Where the suffix comes from."""

    UNIQUE = "unique"
    IPV4 = "ipv4"
    HASH = "hash"
    MAC = "mac"


def unique(secret: bytes, key: Key, *, boottime_ns: int, attempt: int) -> Mac:
    """Hash an attachment and its moment: unguessable, and practically never the same twice.

    The node's secret keys the hash, so that pods cannot be found from outside by hashing container IDs; the ADD's
    boottime makes the same container's next address another one.
    """
    return _hash(secret, f"{key.container_id}\0{key.ifname}\0{boottime_ns}\0{attempt}")


def of_ipv4(secret: bytes, ipv4: IPv4Address, attempt: int) -> Mac:
    """Hash an IPv4 address: the IPv6 follows from it, but only for those who know the secret."""
    return _hash(secret, f"{ipv4}\0{attempt}")


def embedded(ipv4: IPv4Address) -> Mac:
    """Embed an IPv4 address readably: 10.244.1.5 becomes 02:80:0a:f4:01:05."""
    return Mac(_EMBEDDED | int(ipv4))


def address_of(prefix: Prefix, mac: Mac) -> IPv6Address:
    """Put the suffix under the prefix; a prefix longer than /80 takes its lower bits only."""
    return IPv6Address(int(prefix.network_address) | mac.value & int(prefix.hostmask))


def embedded_ipv4(address: IPv6Address, prefix: Prefix) -> IPv4Address | None:
    """Read the IPv4 back out of an address of mode `ipv4`; None when the address was not made that way."""
    ipv4 = IPv4Address(int(address) & 0xFFFF_FFFF)
    return ipv4 if address_of(prefix, embedded(ipv4)) == address else None


def _hash(secret: bytes, text: str) -> Mac:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), key=secret, digest_size=MAC_BITS // 8)
    return Mac.local(int.from_bytes(digest.digest(), "big"))
