"""A network configuration compiled: pools, prefixes, firewall settings and wiring plans that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import ip_address

from slash80.addressing.attachment import Attachment, alias_of
from slash80.addressing.family import FAMILIES, IPV4, IPV6, Address, Family, Prefix, family_of
from slash80.addressing.pool import Pool, Range
from slash80.cni.document import Document
from slash80.firewall.records import Ruleset, Settings
from slash80.firewall.ruleset import build
from slash80.settings import network as configuration
from slash80.settings import node as nodefile
from slash80.settings.network import NetConf
from slash80.wiring.plan import Plan, RouteSpec

LATER_PRIORITY = 100  # of a further interface's routes, plus its number in the pod


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """A configuration and what follows from it alone, worked out once.

    `draining` are prefixes of the node that no further address is handed out of. Whether it is `from_node` decides
    whether NetworkPolicies may apply to its pods.
    """

    conf: NetConf
    draining: tuple[Prefix, ...] = ()
    from_node: bool = False

    @cached_property
    def pools(self) -> dict[Family, Pool]:
        """The pools of the families that are configured."""
        return pools(self.conf)

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """The families that are configured."""
        return tuple(self.pools)

    @cached_property
    def handed_out(self) -> tuple[Prefix, ...]:
        """The prefixes that pods get addresses of."""
        return tuple(prefix for pool in self.pools.values() for prefix in pool.prefixes)

    @cached_property
    def prefixes(self) -> tuple[Prefix, ...]:
        """All prefixes of the node: what no pod has of them is unreachable."""
        return (*self.conf.ipv4.prefixes, *self.conf.ipv6.prefixes, *self.draining)

    @cached_property
    def ruleset(self) -> Ruleset:
        """The node's firewall."""
        return build(settings(self.conf))


def read(document: Document, *, drained: bool = False) -> CompiledNetwork:
    """Check a configuration, once for all calls with the same; raise InvalidConfig or UnsupportedField.

    With source `node` raise TryAgain as long as the node has no active prefixes. With `drained` those that drain do as
    well, for what the pods need that still have their addresses.
    """
    text = configuration.text_of(NetConf, document)
    conf = configuration.from_text(NetConf, text)
    return _read(text, nodefile.read(conf.state_dir) if conf.source == "node" else None, drained=drained)


@lru_cache(maxsize=16)
def _read(text: str, of_node: str | None, *, drained: bool = False) -> CompiledNetwork:
    conf = configuration.from_text(NetConf, text)
    if of_node is None:
        return CompiledNetwork(conf)
    node = nodefile.parse(of_node)
    if drained:
        node = nodefile.undrained(node)
    return CompiledNetwork(nodefile.complete(conf, node), node.draining, from_node=True)


def pools(conf: NetConf) -> dict[Family, Pool]:
    """Return the pools of the families that are configured."""
    found = {
        IPV4: Pool(IPV4, tuple(conf.ipv4.prefixes), _ranges(conf.ipv4.exclude), conf.ipv4.reserve_edges),
        IPV6: Pool(IPV6, tuple(conf.ipv6.prefixes), _ranges(conf.ipv6.exclude)),
    }
    return {family: pool for family, pool in found.items() if pool.prefixes}


def settings(conf: NetConf) -> Settings:
    """Return the firewall settings of a configuration."""
    firewall, masquerade = conf.firewall, {IPV4: conf.ipv4.masquerade, IPV6: conf.ipv6.masquerade}
    return Settings(
        closed=firewall.mode == "closed",
        trusted=(*firewall.trusted, *firewall.cluster_prefixes, *firewall.node_prefixes),
        echo=firewall.echo,
        echo_rate=firewall.echo_rate,
        masquerade=tuple(family for family, on in masquerade.items() if on),
        keep_source=(*conf.ipv4.no_masquerade, *firewall.cluster_prefixes),
        services=tuple(firewall.service_cidrs) if firewall.services == "open" else (),
        cluster=tuple(firewall.cluster_prefixes),
        connection_rate=firewall.connection_rate,
        strict=firewall.trusted_source == "strict",
        metadata_open=tuple(firewall.metadata),
        node=None if firewall.node is None else tuple(firewall.node),
        host_ports=firewall.host_ports,
        expose=tuple(firewall.expose),
        pods_expose=firewall.expose_from != "none",
    )


def plan(compiled: CompiledNetwork, attachment: Attachment, *, mtu: int, earlier: int, netns: str) -> Plan:
    """Return what to wire; `mtu` is the uplink's.

    `earlier` is how many interfaces of slash80 the container has already, or more: the metric that follows from it is
    no other interface's.
    """
    conf, given = compiled.conf, attachment.assignment
    if given.mac is None:
        raise AssertionError("an attachment that was just reserved has a MAC")
    return Plan(
        host_ifname=attachment.host_ifname,
        host_mac=attachment.key.host_mac,
        alias=alias_of(attachment.key, attachment.network),
        ifname=attachment.key.ifname,
        mac=given.mac,
        mtu=conf.mtu or mtu,
        netns=netns,
        addresses=given.addresses,
        routes=tuple(_routes(conf, given.addresses, earlier)),
        loopback=attachment.openings.loopback,
    )


def _routes(conf: NetConf, addresses: Sequence[Address], earlier: int) -> Iterator[RouteSpec]:
    """Return the pod's routes: defaults unless the configuration has its own, then the configured ones.

    The first interface's IPv6 default has a lower metric than the kernel's 1024, so that it stays the preferred one.
    """
    families = [family for family in FAMILIES if any(family_of(address) is family for address in addresses)]
    asked = {route.dst for route in conf.routes}
    if conf.default_route is True or (conf.default_route == "auto" and not earlier):
        for family in families:
            if family.everything not in asked:
                later = earlier or family is IPV6
                yield RouteSpec(family.everything, priority=LATER_PRIORITY + earlier if later else None)
    for route in conf.routes:
        if family_of(route.dst) in families:
            chosen = LATER_PRIORITY + earlier if earlier and route.priority is None else route.priority
            yield RouteSpec(route.dst, route.mtu, route.advmss, chosen)


def _ranges(spans: list[tuple[str, str]]) -> tuple[Range, ...]:
    return tuple(Range(ip_address(first), ip_address(last)) for first, last in spans)
