"""Capability arguments: addresses, MAC, DNS and host ports that a runtime requests for a pod, and the pod's name.

A request is fulfilled or rejected, never ignored: the pod would run with less than its owner asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from slash80.addressing.openings import EXPOSE, PortRequest
from slash80.addressing.ports import PortRange, merged
from slash80.cni import addresses, document, environment, port_mappings
from slash80.cni.document import Document
from slash80.cni.request import Request
from slash80.errors import InvalidConfig, Undecodable, UnsupportedField, shown

ANNOTATIONS = "io.kubernetes.cri.pod-annotations"
_REFUSED = {
    "bandwidth": "put the bandwidth plugin after this one",
    "ipRanges": "give the ranges as ipv4.prefixes and ipv6.prefixes",
}
_OUR_ANNOTATION = "slash80.io/"
_NO_IPV4 = "slash80.io/ipv4"
_MOST_EXPOSED = 64  # entries of the annotation


@dataclass(frozen=True, slots=True)
class PodOptions:
    """Requests for one attachment; `ips` has at most one address of each family, `mac` is text as it was given.

    `expose` are ports of the pod that everybody may reach, if the pod may have that.
    """

    ips: tuple[IPv4Address | IPv6Address, ...]
    mac: str
    dns: Document
    ports: tuple[PortRequest, ...]
    no_ipv4: bool
    expose: tuple[PortRange, ...]
    pod_namespace: str
    pod_name: str
    pod_uid: str


def read(request: Request) -> PodOptions:
    """Read the options of a call; raise UnsupportedField, InvalidConfig, Undecodable or BadEnvironment.

    Where several sources speak, runtimeConfig beats args.cni, which beats CNI_ARGS (CNI conventions).
    """
    refuse_ipam(request.conf)
    runtime = document.section(request.conf, "runtimeConfig")
    for key, instead in _REFUSED.items():
        if _asked(document.get(runtime, key)):
            value = shown(document.get(runtime, key))
            msg = f"runtimeConfig '{key}' with value {value} is not supported; {instead}"
            raise UnsupportedField(msg)
    arguments = environment.arguments(request.env.args)
    labelled = document.section(document.section(request.conf, "args"), "cni")
    ips = _first(document.get(runtime, "ips"), document.get(labelled, "ips"), _split(arguments.get("IP", "")))
    mac = _first(document.get(runtime, "mac"), document.get(labelled, "mac"), arguments.get("MAC", ""))
    if not isinstance(mac, str):
        msg = f"the requested mac is {shown(mac)}, but must be a string such as '02:00:5e:00:53:01'"
        raise Undecodable(msg)
    annotations = _annotations(runtime)
    return PodOptions(
        ips=_addresses(ips),
        mac=mac,
        dns=_dns(document.section(runtime, "dns")),
        ports=ports(request),
        no_ipv4=_no_ipv4(annotations),
        expose=_exposed(annotations),
        pod_namespace=arguments.get("K8S_POD_NAMESPACE", ""),
        pod_name=arguments.get("K8S_POD_NAME", ""),
        pod_uid=arguments.get("K8S_POD_UID", ""),
    )


def ports(request: Request) -> tuple[PortRequest, ...]:
    """Read the host ports of a call; raise InvalidConfig or Undecodable."""
    return port_mappings.read(document.get(document.section(request.conf, "runtimeConfig"), "portMappings"))


def refuse_ipam(conf: Document) -> None:
    """Raise UnsupportedField when another IPAM is configured: its addresses would silently not be used."""
    if ipam := document.get(conf, "ipam"):
        msg = f"configuration key 'ipam' with value {shown(ipam)} is not supported: slash80 hands out addresses"
        raise UnsupportedField(f"{msg} itself; remove it and give ipv4.prefixes and ipv6.prefixes")


def _asked(value: Any) -> bool:  # noqa: ANN401 -- any JSON value
    """Report whether a value asks for anything: an object of zeros or an empty list does not."""
    if isinstance(value, Mapping):
        return any(map(_asked, value.values()))
    return bool(value)


def _first(*values: Any) -> Any:  # noqa: ANN401 -- any JSON values
    """Return the first value that asks for something; an empty list or string does not."""
    return next((value for value in values if value is not None and value not in ([], "")), values[-1])


def _split(text: str) -> list[str]:
    return text.split(",") if text else []


def _addresses(values: Any) -> tuple[IPv4Address | IPv6Address, ...]:  # noqa: ANN401 -- any JSON value
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        msg = f"the requested ips are {shown(values)}, but must be a list of addresses"
        raise Undecodable(msg)
    found: dict[int, IPv4Address | IPv6Address] = {}
    for address in map(_address, values):
        if address.version in found:
            msg = f"the requested ips {values} have two IPv{address.version} addresses; an interface gets one of each"
            raise InvalidConfig(msg)
        found[address.version] = address
    return tuple(found.values())


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        address = addresses.interface(text.strip()).ip
    except ValueError as error:
        raise Undecodable(
            f"the requested address {shown(text)} is not an IP address; give one such as '10.80.1.5' or "
            "'2001:db8:0:1:1::5'"
        ) from error
    # Go reads ::ffff:10.0.0.1 as IPv4, and so do the runtimes that write it
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _dns(requested: Document) -> Document:
    """Rename the `dns` capability's keys to those of a result."""
    names = {"nameservers": "servers", "search": "searches", "options": "options"}
    found = {name: document.get(requested, key) or [] for name, key in names.items()}
    if not any(found.values()):
        return {}
    if not all(_strings(value) for value in found.values()):
        value = shown(requested)
        msg = f"runtimeConfig 'dns' is {value}, but servers, searches and options must be lists of strings"
        raise Undecodable(msg)
    return found


def _strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _annotations(runtime: Document) -> Document:
    """Return the pod's annotations; one of ours that is unknown asks for what this version cannot do: it is refused."""
    annotations = document.section(runtime, ANNOTATIONS)
    _refuse_unknown(key for key in annotations if key.startswith(_OUR_ANNOTATION) and key not in {_NO_IPV4, EXPOSE})
    return annotations


def _no_ipv4(annotations: Document) -> bool:
    value = annotations.get(_NO_IPV4, "true")
    if value not in ("true", "false"):
        msg = f'pod annotation {_NO_IPV4} is {shown(value)}, but must be "true" or "false"'
        raise InvalidConfig(msg)
    return bool(value == "false")


def _exposed(annotations: Document) -> tuple[PortRange, ...]:
    value = annotations.get(EXPOSE, "")
    if not isinstance(value, str):
        raise InvalidConfig(
            f"pod annotation {EXPOSE} is {shown(value)}, but must be a string such as 'tcp/443, udp/53'"
        )
    listed = value.split(",") if value.strip() else []
    if len(listed) > _MOST_EXPOSED:
        msg = f"pod annotation {EXPOSE} has {len(listed)} entries, but may have {_MOST_EXPOSED}"
        raise InvalidConfig(f"{msg}; join ports as in 'tcp/8000-8100'")
    return merged(map(_exposed_entry, listed))


def _exposed_entry(text: str) -> PortRange:
    try:
        return PortRange.parse(text.strip())
    except ValueError as error:
        raise InvalidConfig(f"pod annotation {EXPOSE} has the entry {shown(text.strip())}: {error}") from error


def _refuse_unknown(keys: Iterable[str]) -> None:
    if key := next(iter(keys), None):
        msg = f"pod annotation '{key}' is not supported by this version of slash80; remove it from the pod"
        raise UnsupportedField(msg)
