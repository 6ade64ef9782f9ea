"""What a chain's final result claims of one interface: what CHECK holds against the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any

from slash80.cni import addresses, document
from slash80.cni.document import Document
from slash80.errors import InvalidConfig


@dataclass(frozen=True, slots=True)
class ExpectedRoute:
    """A route in the sandbox; without a gateway any route to `dst` will do."""

    dst: IPv4Network | IPv6Network
    gateway: IPv4Address | IPv6Address | None


@dataclass(frozen=True, slots=True)
class ExpectedInterface:
    """One interface as the final result has it; an empty `mac` was not said."""

    mac: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    routes: tuple[ExpectedRoute, ...]


def read(result: Document, ifname: str, sandbox: str) -> ExpectedInterface:
    """Find an interface in a result that `previous` has checked; raise InvalidConfig when it is not there."""
    interfaces = document.objects(result, "interfaces")
    index = next((i for i, link in enumerate(interfaces) if _matches(link, ifname, sandbox)), None)
    if index is None:
        msg = f"'prevResult' has no interface '{ifname}' in sandbox '{sandbox}', so it is of another attachment"
        raise InvalidConfig(msg)
    ips = [
        addresses.interface(document.get(ip, "address"))
        for ip in document.objects(result, "ips")
        if document.get(ip, "interface") == index
    ]
    routes = [_route(route) for route in document.objects(result, "routes")]
    return ExpectedInterface(str(document.get(interfaces[index], "mac") or ""), tuple(ips), tuple(routes))


def _matches(link: Mapping[str, Any], ifname: str, sandbox: str) -> bool:
    return bool(document.get(link, "name") == ifname and document.get(link, "sandbox") == sandbox)


def _route(route: Mapping[str, Any]) -> ExpectedRoute:
    gateway = document.get(route, "gw")
    dst = addresses.interface(document.get(route, "dst")).network  # the kernel keeps no host bits either
    return ExpectedRoute(dst, addresses.address(gateway) if gateway else None)
