"""A previous plugin's result, held against the specification before any of it is handed on or compared.

Whatever is copied into our result fails later, at a runtime or a plugin that cannot tell whose value it was. Keys match
without regard to case, as in Go, and what the configuration's version does not know passes as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from slash80.cni import addresses, document
from slash80.cni.document import Document
from slash80.cni.versions import at_least
from slash80.errors import InvalidConfig, shown

Check = Callable[[Any], str]  # says what a value must be; nothing when it is that
Wrong = tuple[str, Any, str]  # where, which value, what it must be

_LENGTH = re.compile(r".*/[0-9]+")  # Go takes no netmask there
_MAC = re.compile(r"|[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5,19}")  # IP over InfiniBand has 20 bytes


def check(result: Document, version: str) -> None:
    """Raise InvalidConfig for the first value that is not what this version of the specification has there.

    Raise Undecodable for a list or an object that is not one.
    """
    for where, value, must in _of_lists(result, version) if at_least(version, "0.3.0") else _of_families(result):
        msg = f"'prevResult' has {where} with the value {shown(value)}, but it must be {must}"
        raise InvalidConfig(f"{msg}; see which plugin of the list has given it")


def _of_lists(result: Document, version: str) -> Iterator[Wrong]:
    """Look through a result of 0.3.0 or newer."""
    links = document.objects(result, "interfaces")
    since_1_1 = at_least(version, "1.1.0")
    yield from _entries("interfaces", links, _INTERFACE | (_INTERFACE_1_1 if since_1_1 else {}))
    ips = document.objects(result, "ips")
    yield from _entries("ips", ips, {"address": _cidr(), "gateway": _address(), "interface": _index_below(len(links))})
    if not at_least(version, "1.0.0"):
        yield from _versions(ips)
    routes = document.objects(result, "routes")
    yield from _entries("routes", routes, _ROUTE | (_ROUTE_1_1 if since_1_1 else {}))
    yield from _entry("dns", document.section(result, "dns"), _DNS)


def _of_families(result: Document) -> Iterator[Wrong]:
    """Look through a result of 0.1.0 or 0.2.0."""
    for family in (4, 6):
        key = f"ip{family}"
        if part := document.section(result, key):
            yield from _entry(key, part, {"ip": _cidr(family), "gateway": _address(family)})
            yield from _entries(f"{key}.routes", document.objects(part, "routes"), _ROUTE)
    yield from _entry("dns", document.section(result, "dns"), _DNS)


def _entries(key: str, entries: Sequence[Document], checks: Mapping[str, Check]) -> Iterator[Wrong]:
    for number, entry in enumerate(entries):
        yield from _entry(f"{key}[{number}]", entry, checks)


def _entry(where: str, entry: Document, checks: Mapping[str, Check]) -> Iterator[Wrong]:
    """Check every value of an object whose key is known, in whatever case, and that none is missing that must be."""
    keys = {key.lower() for key in entry}
    values = [(key, value) for key, value in entry.items() if key.lower() in checks]
    for key, value in [*values, *((key, None) for key in checks if key not in keys)]:
        if must := checks[key.lower()](value):
            yield f"{where}.{key}", value, must


def _versions(ips: Sequence[Document]) -> Iterator[Wrong]:
    """Hold the family that an address is said to be of against the address."""
    for number, ip in enumerate(ips):
        told, family = document.get(ip, "version"), str(addresses.interface(document.get(ip, "address")).version)
        if told not in {None, family}:
            yield f"ips[{number}].version", told, f'"{family}", as its address is'


def _cidr(family: int = 0) -> Check:
    def check(value: object) -> str:
        try:
            found = addresses.interface(value)
        except ValueError:
            found = None
        fits = found is not None and _LENGTH.fullmatch(str(value)) and family in {0, found.version}
        return "" if fits else f"an {_named(family)} with its prefix length, such as {_EXAMPLES[family]}"

    return check


def _address(family: int = 0) -> Check:
    def check(value: object) -> str:
        if value in (None, ""):
            return ""
        try:
            fits = family in {0, addresses.address(value).version}
        except ValueError:
            fits = False
        return "" if fits else f"an {_named(family)}"

    return check


def _named(family: int) -> str:
    return f"IPv{family} address" if family else "address"


_EXAMPLES = {0: "10.1.0.5/24", 4: "10.1.0.5/24", 6: "2001:db8::5/64"}


def _index_below(count: int) -> Check:
    return lambda value: (
        "" if value is None or _is_number(value, below=count) else f"the index of one of {count} interfaces"
    )


def _is_number(value: object, *, below: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < below


def _number(value: object) -> str:
    return "" if value is None or _is_number(value, below=1 << 32) else "a number of at most 32 bits"


def _name(value: object) -> str:
    return "" if isinstance(value, str) and value else "an interface's name"


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, str) else "a string"


def _mac(value: object) -> str:
    fits = value is None or (isinstance(value, str) and _MAC.fullmatch(value))
    return "" if fits else "a MAC address such as 02:00:5e:00:53:01"


def _texts(value: object) -> str:
    fits = value is None or (isinstance(value, list) and all(isinstance(entry, str) for entry in value))
    return "" if fits else "a list of strings"


# By key in lower case.
_INTERFACE: dict[str, Check] = {"name": _name, "mac": _mac, "sandbox": _text}
_INTERFACE_1_1: dict[str, Check] = {"mtu": _number, "socketpath": _text, "pciid": _text}
_ROUTE: dict[str, Check] = {"dst": _cidr(), "gw": _address()}
_ROUTE_1_1: dict[str, Check] = dict.fromkeys(("mtu", "advmss", "priority", "table", "scope"), _number)
_DNS: dict[str, Check] = {"nameservers": _texts, "domain": _text, "search": _texts, "options": _texts}
