"""What a Pod's object says about its ports beside their names: those it asks to expose, and host ports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from slash80.addressing.openings import EXPOSE
from slash80.addressing.ports import PortRange, Protocol, merged
from slash80.cluster.objects.ports import number_of, protocol_of
from slash80.cluster.objects.reading import Document, mapping, mappings, text

_CHARACTERS = 64 << 10


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a container declares; `host_port` is 0 without one, `host_ip` empty for every address."""

    protocol: Protocol
    port: int
    host_port: int = 0
    host_ip: str = ""

    def __str__(self) -> str:
        """Write it as the command line takes it."""
        return f"{self.protocol}/{self.port}"


@dataclass(frozen=True, slots=True)
class Declared:
    """The ports that a Pod's containers declare, and those that its annotation asks to be open to everybody."""

    ports: tuple[ContainerPort, ...] = ()
    expose: tuple[PortRange, ...] = ()


def read_declared(document: Document) -> Declared:
    """Read them; an annotation that cannot be understood asks for nothing, as ADD has refused it."""
    expose: tuple[PortRange, ...] = ()
    with suppress(ValueError):
        value = text(mapping(mapping(document, "metadata"), "annotations"), EXPOSE, most=_CHARACTERS)
        expose = merged(PortRange.parse(one.strip()) for one in value.split(",") if value.strip())
    return Declared(tuple(_ports(mapping(document, "spec"))), expose)


def _ports(spec: Mapping[str, Any]) -> Iterator[ContainerPort]:
    for container in mappings(spec, "containers"):
        for one in mappings(container, "ports"):
            protocol = protocol_of(one)
            port, host_port = number_of(one, "containerPort"), number_of(one, "hostPort")
            if protocol and port:
                yield ContainerPort(protocol, port, host_port, text(one, "hostIP"))
