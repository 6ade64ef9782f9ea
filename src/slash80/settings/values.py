"""How single values of the configuration are read and checked, and how pydantic's complaints become CNI errors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from pydantic import ValidationError

from slash80.addressing.metadata import SERVICES4, SERVICES6, is_service
from slash80.addressing.ports import PortRange
from slash80.cni import addresses
from slash80.errors import CniError, InvalidConfig, UnsupportedField, shown

Span = tuple[str, str]
_ASSIGNABLE = {4: (8, 30), 6: (64, 120)}
_SHORTEST_TRUSTED = {4: 8, 6: 16}
_SUFFIX_ROOM = {"unique": 120, "hash": 120, "ipv4": 96, "mac": 80}


def network(value: object, version: int | None = None) -> IPv4Network | IPv6Network:
    """Read a prefix; raise ValueError when it is not a prefix, has host bits, or is of the other family."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    found = addresses.network(value)
    if version and found.version != version:
        raise ValueError(f"it must be an IPv{version} prefix")
    return found


def prefix(value: object, version: int) -> IPv4Network | IPv6Network:
    """Read a prefix that addresses are handed out from."""
    found = network(value, version)
    shortest, longest = _ASSIGNABLE[version]
    if not shortest <= found.prefixlen <= longest:
        raise ValueError(f"it must be between /{shortest} and /{longest}")
    if found.is_multicast or found.is_loopback or found.is_link_local or found.network_address.is_unspecified:
        raise ValueError("no pod can have an address there: it is multicast, loopback, link-local or unspecified")
    return found


def trusted(value: object) -> IPv4Network | IPv6Network:
    """Read a prefix that may open connections to pods; one that is much of the Internet is a mistake."""
    found = network(value)
    shortest = _SHORTEST_TRUSTED[found.version]
    if found.prefixlen < shortest:
        raise ValueError(f"it would open pods to a large part of the Internet; give /{shortest} or longer")
    return found


def span(value: object, version: int) -> Span:
    """Read an address, a prefix or `first-last`, and give its first and last address."""
    if not isinstance(value, str):
        raise ValueError("it must be an address, a prefix or a range 'first-last'")  # noqa: TRY004 -- pydantic reports ValueErrors
    if "-" in value:
        first, last = (addresses.address(part.strip()) for part in value.split("-", 1))
    else:
        found = addresses.network(value)
        first, last = found.network_address, found.broadcast_address
    if {first.version, last.version} != {version} or int(first) > int(last):
        raise ValueError(f"it must be IPv{version} and lead from a lower to a higher address")
    return str(first), str(last)


def ports(value: object) -> PortRange:
    """Read `protocol/port` or `protocol/first-last`; raise ValueError."""
    if isinstance(value, PortRange):
        return value
    if not isinstance(value, str):
        raise ValueError("it must be a string such as 'tcp/443' or 'tcp/8000-8100'")  # noqa: TRY004 -- pydantic reports ValueErrors
    return PortRange.parse(value)


def metadata(value: object) -> IPv4Address | IPv6Address:
    """Read the address of a metadata service; one that is not closed need not be opened, so it is a mistake."""
    found = value if isinstance(value, IPv4Address | IPv6Address) else addresses.address(value)
    if not is_service(found):
        closed = ", ".join(map(str, (*SERVICES4, *SERVICES6)))
        raise ValueError(
            f"it is not the address of a metadata service; those are {closed}, and by a NAT64 the IPv4 ones"
        )
    return found


def closed_or_list(value: object) -> object:
    """Read `closed`, which opens nothing, or a list of what is opened."""
    if value == "closed":
        return []
    if isinstance(value, list):
        return value
    raise ValueError("it must be 'closed' or a list of the addresses that are opened")


def open_or_list(value: object) -> object:
    """Read `open`, as None, or a list of what is open."""
    if value is None or value == "open":
        return None
    if isinstance(value, list):
        return value
    raise ValueError("it must be 'open' or a list of ports such as ['tcp/443', 'udp/8000-8100']")


def absolute(value: object) -> Path:
    """Read an absolute path; the runtime's working directory means nothing to us."""
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError("it must be an absolute path")
    value.encode()  # a lone surrogate cannot be in a path; what this raises is a ValueError
    return Path(value)


def mtu(value: int) -> int:
    """Check the MTU of a pod's interface; 0 stands for that of the way out."""
    if value and not 1280 <= value <= 65535:
        raise ValueError("it must be 0 or between 1280, which IPv6 needs (RFC 8200, section 5), and 65535")
    return value


def auto_or_bool(value: object) -> object:
    """Read `auto`, or a truth value."""
    if value == "auto" or isinstance(value, bool):
        return value
    raise ValueError("it must be true, false or 'auto'")


def distinct(prefixes: Sequence[IPv4Network | IPv6Network], key: str) -> None:
    """Raise ValueError when two prefixes share addresses: one would be handed out twice."""
    ordered = sorted(prefixes, key=lambda p: int(p.network_address))
    for one, other in itertools.pairwise(ordered):
        if one.overlaps(other):
            raise ValueError(f"{key} has {one} and {other}, which overlap; keep one of them")


def unrepeated(routes: Sequence[tuple[IPv4Network | IPv6Network, int | None]]) -> None:
    """Raise ValueError for a route that is there twice."""
    seen = set()
    for route in routes:
        if route in seen:
            raise ValueError(f"routes has {route[0]} twice with one priority; keep one of them")
        seen.add(route)


def suffix_fits(suffix: str, prefixes: Sequence[IPv6Network], *, has_ipv4: bool) -> None:
    """Raise ValueError when a prefix leaves no room for the suffix, or it needs an IPv4 that pods do not get."""
    for found in prefixes:
        if found.prefixlen > _SUFFIX_ROOM[suffix]:
            raise ValueError(
                f"ipv6.suffix '{suffix}' needs a prefix of /{_SUFFIX_ROOM[suffix]} or shorter, not {found}"
            )
    if prefixes and suffix in {"ipv4", "hash"} and not has_ipv4:
        raise ValueError(f"ipv6.suffix '{suffix}' follows from the IPv4, but ipv4.prefixes is empty; use 'unique'")


@contextmanager
def translated() -> Iterator[None]:
    """Turn pydantic's first complaint into a CNI error that names the key and the value."""
    try:
        yield
    except ValidationError as error:
        raise _translate(error) from error


def _translate(error: ValidationError) -> CniError:
    first = error.errors(include_url=False, include_context=False)[0]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{_plain(part)}" for part in first["loc"]).lstrip(".")
    value = shown(first["input"])
    reason = _plain(first["msg"].removeprefix("Value error, "))
    if first["type"] == "extra_forbidden":
        return UnsupportedField(f"configuration key '{key}' with value {value} is not supported; remove it")
    if not key:
        return InvalidConfig(f"the network configuration cannot be used: {reason}")
    return InvalidConfig(f"configuration key '{key}' has the value {value}: {reason[:1].lower()}{reason[1:]}")


def _plain(text: str) -> str:
    """Keep a text on one line, in ASCII and short, without the quotes of `shown`."""
    return ascii(text)[1:-1][:200]
