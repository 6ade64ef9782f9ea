"""The network configuration, as models that check it, refuse it with the key and the value, and document it.

`docs/configuration.md` is made from the descriptions here. Defaults are part of what users rely on.
"""

from __future__ import annotations

import json
from functools import cache, lru_cache, partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.alias_generators import to_camel

from slash80.addressing.ports import PortRange
from slash80.cni.document import Document
from slash80.errors import Undecodable
from slash80.settings import values

_BYTES = 1 << 20
_LISTED = 64  # entries of a list of ports or addresses that becomes rules
Prefix = IPv4Network | IPv6Network
AnyPrefix4 = Annotated[IPv4Network, BeforeValidator(partial(values.network, version=4))]
AnyPrefix6 = Annotated[IPv6Network, BeforeValidator(partial(values.network, version=6))]
PodPrefix4 = Annotated[IPv4Network, BeforeValidator(partial(values.prefix, version=4))]
PodPrefix6 = Annotated[IPv6Network, BeforeValidator(partial(values.prefix, version=6))]
Trusted = Annotated[Prefix, BeforeValidator(values.trusted)]
Mtu = Annotated[int, AfterValidator(values.mtu)]
_AsText = PlainSerializer("-".join, return_type=str, when_used="json")
Span4 = Annotated[values.Span, BeforeValidator(partial(values.span, version=4)), _AsText]
Span6 = Annotated[values.Span, BeforeValidator(partial(values.span, version=6)), _AsText]
ExposeFrom = Literal["all", "labelled", "none"]
Destination = Annotated[Prefix, BeforeValidator(values.network)]
Metadata = Annotated[
    list[Annotated[IPv4Address | IPv6Address, BeforeValidator(values.metadata)]],
    BeforeValidator(values.closed_or_list),
    PlainSerializer(lambda opened: list(map(str, opened)) or "closed", when_used="json"),
]
Ports = Annotated[PortRange, BeforeValidator(values.ports), PlainSerializer(str, return_type=str, when_used="json")]
NodePorts = Annotated[
    list[Ports] | None,
    BeforeValidator(values.open_or_list),
    PlainSerializer(lambda ports: "open" if ports is None else list(map(str, ports)), when_used="json"),
]
Folder = Annotated[Path, BeforeValidator(values.absolute)]


class Model(BaseModel):
    """Keys in camelCase, matched as Go matches them: without regard to case, and `null` means absent.

    Built on first use: a removal does not pay for the models of the whole configuration.
    """

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="forbid", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, data: Any) -> Any:  # noqa: ANN401 -- any JSON value; what is not an object pydantic refuses
        if not isinstance(data, dict):
            return data
        names = {alias.lower(): alias for alias in (field.alias for field in cls.model_fields.values()) if alias}
        return {names.get(key.lower(), key): value for key, value in data.items() if value is not None}

    def given(self) -> dict[str, Any]:
        """Return the keys that were given, as a JSON document."""
        return self.model_dump(by_alias=True, exclude_unset=True, mode="json")


class Ipv6(Model):
    """Pods' IPv6 addresses; the family is off without prefixes."""

    prefixes: list[PodPrefix6] = Field(
        [],
        max_length=256,
        description="Prefixes routed to this node, /64 to /120, even inside its link's /64; the first is used first.",
    )
    suffix: Literal["unique", "ipv4", "hash", "mac"] = Field(
        "unique",
        description="The rest of the address: `unique` an unguessable hash, never used twice; `ipv4` the pod's IPv4 "
        "(/96 or shorter); `hash` a keyed hash of the IPv4; `mac` the MAC that the runtime asks for (/80 or shorter).",
    )
    exclude: list[Span6] = Field(
        [], description="Addresses, prefixes or ranges `first-last` that are never handed out."
    )
    masquerade: bool = Field(
        default=False, description="Hide pods behind the node's address; only for prefixes that are not routed."
    )


class Ipv4(Model):
    """Pods' IPv4 addresses; the family is off without prefixes."""

    prefixes: list[PodPrefix4] = Field(
        [],
        max_length=256,
        description="Prefixes of this node, /8 to /30, in no subnet of its links; the first is used first.",
    )
    exclude: list[Span4] = Field(
        [], description="Addresses, prefixes or ranges `first-last` that are never handed out."
    )
    masquerade: bool = Field(
        default=True, description="Hide pods behind the node's address when they leave the cluster."
    )
    no_masquerade: list[AnyPrefix4] = Field(
        [], description="Destinations that see the pod's own address, beside `firewall.clusterPrefixes`."
    )
    cooldown: float = Field(
        130,
        ge=30,
        le=86400,
        description="Seconds that a released address should rest; one that rested less is given when no other is left.",
    )
    reserve_edges: bool = Field(default=True, description="Keep the network and the broadcast address of each prefix.")


class Route(Model):
    """A further route in the pod, through slash80's gateways."""

    dst: Destination = Field(description="The destination, a prefix of a family that the pod has.")
    mtu: int | None = Field(None, ge=68, le=65535, description="The path's MTU.")
    advmss: int | None = Field(None, ge=1, le=65535, description="The TCP segment size to announce.")
    priority: int | None = Field(None, ge=0, le=2**32 - 1, description="The route's metric.")


class Firewall(Model):
    """Who may open connections to pods; the same for every network on a node."""

    mode: Literal["closed", "open"] = Field(
        "closed",
        description="`closed`: only this node, the prefixes below and answers get in; `open`: everybody.",
    )
    trusted: list[Trusted] = Field(
        [],
        description="Other clusters' prefixes that may open connections to pods; /16 or longer in IPv6, /8 in IPv4.",
    )
    trusted_source: Literal["strict", "loose"] = Field(
        "strict",
        description="Whether a trusted prefix counts on every link (`loose`), or only on one by which the node would "
        "answer it. What is the node's own never counts on any.",
    )
    cluster_prefixes: list[Trusted] = Field(
        [], description="Prefixes of this cluster's pods; trusted, not masqueraded."
    )
    node_prefixes: list[Trusted] = Field([], description="Prefixes of this cluster's nodes; trusted.")
    service_cidrs: list[Destination] = Field(
        [], alias="serviceCIDRs", description="Prefixes of this cluster's Services, that is of their ClusterIPs."
    )
    services: Literal["open", "trusted"] = Field(
        "open",
        description="Who may reach pods through NodePorts and load balancers: `open` everybody, in the families of "
        "which `serviceCIDRs` are known, but never by a ClusterIP; `trusted` only the prefixes above.",
    )
    metadata: Metadata = Field(
        "closed",
        max_length=_LISTED,
        validate_default=True,
        description="Which of the cloud's metadata services, which give out the node's credentials, pods may reach: "
        "none (`closed`) or these addresses. DNS (53) and NTP (123/udp) of all of them stay open.",
    )
    node: NodePorts = Field(
        "open",
        max_length=_LISTED,
        validate_default=True,
        description="What pods may reach on the node that they run on: everything (`open`) or these ports, as "
        "`tcp/443` or `udp/8000-8100`; besides ICMP, DNS (53), Services that lead to it, and answers to it.",
    )
    host_ports: Literal["open", "trusted", "none"] = Field(
        "open",
        description="Who may reach host ports (`portMappings`) from outside the node: `open` everybody, `trusted` only "
        "the prefixes above, `none` no host. The node itself and its pods may in any case.",
    )
    expose: list[Ports] = Field(
        [],
        max_length=_LISTED,
        description="Ports of every pod that are open to everybody: `tcp/443`, `udp/53`, `sctp/8000-8100`.",
    )
    expose_from: ExposeFrom = Field(
        "none",
        description="Whose pod annotation `slash80.io/expose` opens ports of its pod to everybody: that of `all` pods, "
        "of `none`, or of those in Namespaces with the label `slash80.io/allow-expose=true` (`labelled`, the default "
        "in `node.json` and `config.yaml`; only the agent on Kubernetes knows the labels).",
    )
    echo: Literal["limit", "open", "drop"] = Field("limit", description="What happens to pings from outside.")
    echo_rate: int = Field(10, ge=1, le=10000, description="Pings per second from one source, in IPv6 from one /64.")
    connection_rate: int = Field(
        2000,
        ge=0,
        le=1_000_000,
        description="New connections per second of each pod, and of each untrusted source (in IPv6 each /64) to pods; "
        "four seconds' worth at once. 0: any number. Raise `nf_conntrack_max` with it.",
    )


class Dns(Model):
    """The standard `dns` key of a network configuration, handed on in the result."""

    model_config = ConfigDict(extra="ignore")

    nameservers: list[str] = Field([], description="Addresses of resolvers.")
    domain: str = Field("", description="The local domain.")
    search: list[str] = Field([], description="Search domains.")
    options: list[str] = Field([], description="Resolver options.")


class RemovalConf(Model):
    """What a removal needs: so little that no later change of the configuration keeps a pod from being removed."""

    model_config = ConfigDict(extra="ignore")

    state_dir: Folder = Field(
        Path("/run/slash80"),
        description="Where attachments are remembered; on tmpfs, mode 0700, and of the user that calls the plugin.",
    )
    lock_timeout: float = Field(
        5, gt=0, le=50, description="Seconds to wait for another call before giving up with code 11."
    )


class NetConf(RemovalConf):
    """The whole configuration of a network of type `slash80`."""

    source: Literal["conf", "node"] = Field(
        "conf",
        description="`conf`: prefixes and firewall settings come from this configuration; `node`: from `node.json` in "
        "`stateDir`, which the agent writes.",
    )
    ipv6: Ipv6 = Field(Ipv6(), description="See below.")
    ipv4: Ipv4 = Field(Ipv4(), description="See below.")
    primary_family: Literal["ipv4", "ipv6"] = Field("ipv4", description="Which address comes first in the result.")
    mtu: Mtu = Field(0, description="MTU of both ends, 1280 to 65535; 0: that of the default route's link, IPv6 first.")
    default_route: Annotated[Literal["auto", True, False], BeforeValidator(values.auto_or_bool)] = Field(
        "auto",
        description="Whether the interface gets default routes; `auto`: only the first one of a pod does.",
    )
    routes: list[Route] = Field([], description="Further routes in the pod, through slash80's gateways.")
    firewall: Firewall = Field(Firewall(), description="See below.")
    dns: Dns | None = Field(None, description="Name resolution, handed on in the result.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Check what no single key can tell."""
        if self.source == "node":
            return self._left_to_the_node()
        if not self.ipv6.prefixes and not self.ipv4.prefixes:
            raise ValueError("no family is configured; give ipv6.prefixes or ipv4.prefixes")
        values.distinct(self.ipv4.prefixes, "ipv4.prefixes")
        values.distinct(self.ipv6.prefixes, "ipv6.prefixes")
        values.suffix_fits(self.ipv6.suffix, self.ipv6.prefixes, has_ipv4=bool(self.ipv4.prefixes))
        values.unrepeated([(route.dst, route.priority) for route in self.routes])
        for route in self.routes:
            if not (self.ipv6 if route.dst.version == 6 else self.ipv4).prefixes:
                raise ValueError(f"routes has dst {route.dst}, but the pod gets no IPv{route.dst.version} address")
        return self

    def _left_to_the_node(self) -> Self:
        """Refuse what comes from `node.json`: of two answers one would be ignored."""
        given = {"ipv6.prefixes": self.ipv6.prefixes, "ipv4.prefixes": self.ipv4.prefixes}
        given["firewall"] = sorted(self.firewall.model_fields_set)
        for key in (key for key, value in given.items() if value):
            raise ValueError(f"{key} is given, but with source 'node' it comes from node.json; remove one of the two")
        return self


Conf = TypeVar("Conf", bound=RemovalConf)


def parse(model: type[Conf], conf: Document) -> Conf:
    """Check a configuration; raise InvalidConfig or UnsupportedField naming the key and the value."""
    return from_text(model, text_of(model, conf))


def text_of(model: type[RemovalConf], conf: Document) -> str:
    """Return what the model reads of a configuration as JSON: the same for every call of a network.

    Raise Undecodable when that is too much: it is kept, and what a runtime adds to it, which may be more, is not.
    """
    names = _names(model)
    text = json.dumps({key: value for key, value in conf.items() if key.lower() in names})
    if len(text) > _BYTES:
        raise Undecodable(f"the network configuration has {len(text)} bytes, but may have {_BYTES}; give fewer entries")
    return text


def from_text(model: type[Conf], text: str) -> Conf:
    """Check what `text_of` gave, once for all calls that bring the same."""
    return cast("Conf", _parsed(model, text))


@lru_cache(maxsize=32)
def _parsed(model: type[RemovalConf], text: str) -> RemovalConf:
    with values.translated():
        return model.model_validate(json.loads(text))


@cache
def _names(model: type[RemovalConf]) -> frozenset[str]:
    # not the fields' aliases, which exist only once the model was built
    return frozenset(to_camel(name).lower() for name in model.model_fields)
