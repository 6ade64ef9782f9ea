"""The capability `portMappings`: ports of the host that a runtime asks to lead to the pod."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from slash80.addressing.openings import PortRequest
from slash80.addressing.ports import BY_NAME, LAST_PORT, TCP, Protocol
from slash80.cni import addresses, document
from slash80.cni.document import Document
from slash80.errors import InvalidConfig, Undecodable, shown

MOST = 1000  # of one pod: its elements are one batch of netlink, which a socket's send buffer (wmem_default) must hold
_BROADCAST = IPv4Address("255.255.255.255")


def read(value: Any) -> tuple[PortRequest, ...]:  # noqa: ANN401 -- any JSON value
    """Read the list; raise Undecodable or InvalidConfig. Without a host port nothing is asked for."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        msg = f"runtimeConfig 'portMappings' is {shown(value)}, but must be a list of objects"
        raise Undecodable(msg)
    if len(value) > MOST:
        raise InvalidConfig(
            f"runtimeConfig 'portMappings' has {len(value)} entries, but may have {MOST}; change the pod's ports"
        )
    return tuple(found for entry in value if (found := _read(entry)).host_port)


def _read(entry: Document) -> PortRequest:
    return PortRequest(
        protocol=_protocol(entry),
        host_ip=_host_ip(entry),
        host_port=_port(entry, "hostPort", lowest=0),
        container_port=_port(entry, "containerPort", lowest=1),
    )


def _port(entry: Document, key: str, *, lowest: int) -> int:
    value = document.get(entry, key)
    found = 0 if value is None and not lowest else value
    if isinstance(found, bool) or not isinstance(found, int) or not lowest <= found <= LAST_PORT:
        raise _unusable(entry, f"{key} must be a number from {lowest} to {LAST_PORT}")
    return found


def _protocol(entry: Document) -> Protocol:
    value = document.get(entry, "protocol") or str(TCP)  # as in a Pod's spec
    found = BY_NAME.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise _unusable(entry, f"protocol must be {', '.join(BY_NAME)}")
    return found


def _host_ip(entry: Document) -> IPv4Address | IPv6Address | None:
    value = document.get(entry, "hostIP")
    if value is None or value == "":
        return None
    try:
        found = addresses.address(value)
    except ValueError as error:
        raise _unusable(entry, f"hostIP cannot be used: {error}") from error
    found = getattr(found, "ipv4_mapped", None) or found  # as Go reads it
    if found.is_multicast or found == _BROADCAST:
        raise _unusable(entry, "hostIP must be an address of the node's")
    return found


def _unusable(entry: Document, reason: str) -> InvalidConfig:
    return InvalidConfig(f"runtimeConfig 'portMappings' has the entry {shown(entry)}: {reason}; change the pod's ports")
