"""Ports as Pods, Services and EndpointSlices have them; one that cannot be understood costs itself only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slash80.addressing.ports import BY_NAME, LAST_PORT, Protocol
from slash80.cluster.objects.reading import mappings, text

_NAME, _WORD = 253, 64


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a Service, or of the endpoints of a slice, where the number is the pods'.

    `protocol` is TCP, UDP or SCTP, by the API's name.
    """

    name: str
    protocol: str
    port: int
    app_protocol: str = ""


def read_ports(parent: Mapping[str, Any]) -> Iterator[Port]:
    """Yield the ports that have a number; one of a slice without means every port, which a Service has not."""
    for one in mappings(parent, "ports"):
        if port := number_of(one, "port"):
            yield Port(
                text(one, "name", most=_NAME),
                text(one, "protocol", most=_WORD) or "TCP",
                port,
                text(one, "appProtocol", most=_NAME),
            )


def protocol_of(port: Mapping[str, Any]) -> Protocol | None:
    """Return a port's protocol, TCP where none is named; None for one that is not known."""
    return BY_NAME.get((text(port, "protocol") or "TCP").lower())


def number_of(port: Mapping[str, Any], key: str) -> int:
    """Return the port under a key, 0 where none can be read."""
    value = port.get(key)
    return value if type(value) is int and 0 < value <= LAST_PORT else 0
