"""`node.json`: what a network configuration with source `node` leaves to the node, as the agent or a person wrote it.

It is written by rename, so a reader sees all of it or none. Keys that this version does not know are ignored: the
agent that writes the file may be newer than the engine that reads it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from slash80.errors import CniError, InvalidConfig, IoFailure, TryAgain
from slash80.settings import values
from slash80.settings.network import (
    ExposeFrom,
    Firewall,
    Ipv4,
    Ipv6,
    Model,
    Mtu,
    NetConf,
    PodPrefix4,
    PodPrefix6,
    Prefix,
)

NAME = "node.json"
_BYTES = 2 << 20
State = Literal["active", "draining"]
_DRAINING = "`draining`: pods keep their addresses, but no further one is handed out."


class _Part(Model):
    model_config = ConfigDict(extra="ignore")


class NodePrefix6(_Part):
    """An IPv6 prefix of the node."""

    prefix: PodPrefix6 = Field(description="A prefix routed to this node, /64 to /120.")
    state: State = Field("active", description=_DRAINING)


class NodePrefix4(_Part):
    """An IPv4 prefix of the node."""

    prefix: PodPrefix4 = Field(description="A prefix of this node, /8 to /30.")
    state: State = Field("active", description=_DRAINING)


class NodeFirewall(Firewall):
    """The keys of `firewall`, for all networks with source `node`."""

    model_config = ConfigDict(extra="ignore")

    expose_from: ExposeFrom = Field("labelled", description="See `firewall`.")


class Options6(Ipv6):
    """The keys of `ipv6` but its prefixes."""

    model_config = ConfigDict(extra="ignore")


class Options4(Ipv4):
    """The keys of `ipv4` but its prefixes."""

    model_config = ConfigDict(extra="ignore")


class Options(_Part):
    """What else of a network configuration may be said for the whole node; the network's own keys win."""

    ipv6: Options6 = Field(Options6(), description="See `ipv6`; `prefixes` is ignored.")
    ipv4: Options4 = Field(Options4(), description="See `ipv4`; `prefixes` is ignored.")


class NodeFile(_Part):
    """The whole file."""

    version: Literal[1] = Field(description="The version of this format.")
    ipv6: list[NodePrefix6] = Field([], max_length=256, description="The node's IPv6 prefixes, in order of preference.")
    ipv4: list[NodePrefix4] = Field([], max_length=256, description="The node's IPv4 prefixes, in order of preference.")
    primary_family: Literal["ipv4", "ipv6"] = Field("ipv4", description="Which address comes first in the result.")
    mtu: Mtu = Field(0, description="MTU of both ends, 1280 to 65535; 0: that of the default route's link.")
    firewall: NodeFirewall = Field(NodeFirewall(), description="See `firewall`.")
    options: Options = Field(Options(), description="Further keys of `ipv6` and `ipv4`.")

    @property
    def prefixes(self) -> list[tuple[Prefix, State]]:
        """All prefixes with their states."""
        return [(one.prefix, one.state) for one in self.ipv4] + [(one.prefix, one.state) for one in self.ipv6]

    @property
    def draining(self) -> tuple[Prefix, ...]:
        """The prefixes that only living pods have addresses of."""
        return tuple(prefix for prefix, state in self.prefixes if state == "draining")


def read(state_dir: Path) -> str:
    """Return a state directory's `node.json` as text; raise TryAgain while it does not exist, IoFailure on error."""
    path = state_dir / NAME
    try:
        with path.open("rb") as file:
            raw = file.read(_BYTES + 1)
    except FileNotFoundError as error:
        msg = f"{path} is not there yet, so this node has no prefixes to hand addresses out of"
        raise TryAgain(f"{msg}; see why the agent has found none: slash80 status") from error
    except OSError as error:
        raise IoFailure(f"{path} cannot be read: {error.strerror}; make it readable for root") from error
    if len(raw) > _BYTES:
        raise InvalidConfig(f"{path} has more than {_BYTES} bytes; no node has so many prefixes")
    try:
        return raw.decode()
    except ValueError as error:
        raise InvalidConfig(f"{path} is not UTF-8 text; write it again") from error


def demand_readable(text: str) -> None:
    """Raise InvalidConfig for a text that no reader would take: it must not be written over one that is in force."""
    if len(text.encode()) > _BYTES:
        raise InvalidConfig(f"{NAME} would have more than {_BYTES} bytes; give fewer prefixes in the ConfigMap slash80")
    parse(text)


@lru_cache(maxsize=16)
def parse(text: str) -> NodeFile:
    """Check the text of a `node.json`; raise InvalidConfig naming the key and the value."""
    try:
        with values.translated():
            return NodeFile.model_validate(json.loads(text))
    except CniError as error:
        raise InvalidConfig(f"{NAME}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidConfig(
            f"{NAME} is not a JSON document: {error or type(error).__name__}; write it again"
        ) from error


def complete(conf: NetConf, node: NodeFile) -> NetConf:
    """Fill in what a configuration with source `node` leaves to the node; raise TryAgain or InvalidConfig."""
    prefixes = {"ipv6": _active(node.ipv6), "ipv4": _active(node.ipv4)}
    if not any(prefixes.values()):
        known = ", ".join(map(str, node.draining)) or "none at all"
        msg = f"{NAME} has no active prefix ({known}), so no address can be handed out"
        raise TryAgain(f"{msg}; see why the agent has found none: slash80 status")
    whole: dict[str, Any] = conf.given()
    for key, options in (("ipv6", node.options.ipv6), ("ipv4", node.options.ipv4)):
        of_node = options.given()
        whole[key] = of_node | whole.get(key, {}) | {"prefixes": prefixes[key]}
    whole["firewall"] = {"exposeFrom": node.firewall.expose_from} | node.firewall.given()
    whole.setdefault("primaryFamily", node.primary_family)
    whole.setdefault("mtu", node.mtu)
    try:
        with values.translated():
            return NetConf.model_validate(whole | {"source": "conf"})
    except CniError as error:
        raise InvalidConfig(f"with {NAME}: {error.msg}") from error


def undrained(node: NodeFile) -> NodeFile:
    """Return the node with all of its prefixes active: what its pods need is the same as before they began to drain."""
    active = {"state": "active"}
    ipv6 = [one.model_copy(update=active) for one in node.ipv6]
    ipv4 = [one.model_copy(update=active) for one in node.ipv4]
    return node.model_copy(update={"ipv6": ipv6, "ipv4": ipv4})


def _active(prefixes: Sequence[NodePrefix4 | NodePrefix6]) -> list[str]:
    return [str(one.prefix) for one in prefixes if one.state == "active"]
