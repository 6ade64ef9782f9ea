"""Results in the form of each version of the specification; a previous plugin's is kept as it came and extended."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from slash80.cni import document
from slash80.cni.document import Document
from slash80.cni.versions import at_least
from slash80.errors import InvalidConfig


@dataclass(frozen=True, slots=True)
class Interface:
    """A link that was made; `sandbox` is empty for the host end."""

    name: str
    mac: str
    mtu: int
    sandbox: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A route in the pod; None leaves a field out."""

    dst: IPv4Network | IPv6Network
    gateway: IPv4Address | IPv6Address
    mtu: int | None = None
    advmss: int | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class Ip:
    """An address of the pod's interface, which is always the second of `interfaces`."""

    address: IPv4Address | IPv6Address
    gateway: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Result:
    """What an ADD made: host end and pod's interface, addresses in order of preference, routes, DNS as JSON."""

    interfaces: tuple[Interface, Interface]
    ips: tuple[Ip, ...]
    routes: tuple[Route, ...]
    dns: Document

    def document(self, version: str, previous: Document | None) -> Document:
        """Return the result document of a version, appended to a previous result where there is one."""
        if not at_least(version, "0.3.0"):
            return self._oldest(version, previous)
        before = {} if previous is None else _known_case(previous)
        links = document.objects(before, "interfaces")
        dns = self.dns or before.get("dns") or ({} if not at_least(version, "1.0.0") else None)
        return before | {
            "cniVersion": version,
            "interfaces": links + [_interface(link, version) for link in self.interfaces],
            "ips": document.objects(before, "ips") + [_ip(ip, version, len(links) + 1) for ip in self.ips],
            "routes": document.objects(before, "routes") + [_route(route, version) for route in self.routes],
            **({} if dns is None else {"dns": dns}),
        }

    def _oldest(self, version: str, previous: Document | None) -> Document:
        """Return the form of 0.1.0 and 0.2.0: one address of each family, with its routes, and no interfaces."""
        found: Document = {}
        for ip in self.ips:
            routes = [
                {"dst": _text(route.dst), "gw": _text(route.gateway)}
                for route in self.routes
                if route.dst.version == ip.address.version
            ]
            found[f"ip{ip.address.version}"] = {"ip": _cidr(ip), "gateway": _text(ip.gateway), "routes": routes}
        before = {} if previous is None else previous
        if taken := [key for key in found if document.get(before, key)]:
            msg = f"'prevResult' has {taken[0]} already, and cniVersion '{version}' knows one address of each family"
            raise InvalidConfig(f"{msg}; use 0.3.0 or newer")
        return {
            **before,
            "cniVersion": version,
            **found,
            "dns": self.dns or document.get(before, "dns") or {},
        }


@lru_cache(maxsize=64)
def _text(value: IPv4Address | IPv6Address | IPv4Network | IPv6Network) -> str:
    """Write a gateway or a destination, of which there are few; it takes 3 us each time."""
    return str(value)


def _cidr(ip: Ip) -> str:
    return f"{ip.address}/{ip.address.max_prefixlen}"


def _interface(link: Interface, version: str) -> Document:
    found: Document = {"name": link.name, "mac": link.mac}
    if at_least(version, "1.1.0"):
        found["mtu"] = link.mtu
    return found | {"sandbox": link.sandbox} if link.sandbox else found


def _ip(ip: Ip, version: str, interface: int) -> Document:
    found: Document = {"address": _cidr(ip), "gateway": _text(ip.gateway), "interface": interface}
    return found if at_least(version, "1.0.0") else {"version": str(ip.address.version), **found}


def _route(route: Route, version: str) -> Document:
    found: Document = {"dst": _text(route.dst), "gw": _text(route.gateway)}
    if not at_least(version, "1.1.0"):
        return found
    further = {"mtu": route.mtu, "advmss": route.advmss, "priority": route.priority}
    return found | {key: value for key, value in further.items() if value is not None}


def _known_case(previous: Document) -> Document:
    """Bring the keys that we extend to their own case, leaving all others as they came."""
    ours = {name.lower(): name for name in ("cniVersion", "interfaces", "ips", "routes", "dns")}
    others = {key: value for key, value in previous.items() if key.lower() not in ours}
    # of several that differ in case only the one that was looked at
    known = {ours[key.lower()]: document.get(previous, ours[key.lower()]) for key in previous if key.lower() in ours}
    return others | known
