"""What a configuration and a runtime's wishes mean for each room: plain translation, nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import ip_address

from slash80.addressing.attachment import Attachment, Key, Pod, alias_of
from slash80.addressing.choose import Wanted
from slash80.addressing.elsewhere import Elsewhere
from slash80.addressing.family import FAMILIES, IPV4, IPV6, Address, Family, Network, family_of
from slash80.addressing.mac import Mac
from slash80.addressing.pool import Pool, Range
from slash80.addressing.suffix import Suffix
from slash80.cni import conf as configuration
from slash80.cni import nodefile
from slash80.cni.conf import NetConf
from slash80.cni.document import Document
from slash80.cni.result import Interface, Ip, Result, Route
from slash80.cni.wishes import Wishes
from slash80.errors import InvalidConfig
from slash80.firewall.records import Ruleset, Settings
from slash80.firewall.ruleset import build
from slash80.wiring.plan import Plan, RouteSpec

LATER_PRIORITY = 100  # of a further interface's routes, plus its number in the pod


@dataclass(frozen=True, eq=False)
class Intent:
    """A configuration and what follows from it alone, worked out once.

    `draining` are prefixes of the node that no further address is handed out of.
    """

    conf: NetConf
    draining: tuple[Network, ...] = ()

    @cached_property
    def pools(self) -> dict[Family, Pool]:
        """The pools of the families that are configured."""
        return pools(self.conf)

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """The families that are configured."""
        return tuple(self.pools)

    @cached_property
    def handed_out(self) -> tuple[Network, ...]:
        """The prefixes that pods get addresses of."""
        return tuple(prefix for pool in self.pools.values() for prefix in pool.prefixes)

    @property
    def prefixes(self) -> tuple[Network, ...]:
        """All prefixes of the node: what no pod has of them is unreachable."""
        return (*self.conf.ipv4.prefixes, *self.conf.ipv6.prefixes, *self.draining)

    @cached_property
    def ruleset(self) -> Ruleset:
        """The node's firewall."""
        return build(settings(self.conf))


def read(document: Document) -> Intent:
    """Check a configuration, once for all calls with the same; raise InvalidConfig or UnsupportedField.

    With source `node` raise TryAgain as long as the node has no prefixes.
    """
    text = configuration.text_of(NetConf, document)
    conf = configuration.from_text(NetConf, text)
    return _read(text, nodefile.read(conf.state_dir) if conf.source == "node" else None)


@lru_cache(maxsize=16)
def _read(text: str, of_node: str | None) -> Intent:
    conf = configuration.from_text(NetConf, text)
    if of_node is None:
        return Intent(conf)
    node = nodefile.parse(of_node)
    return Intent(nodefile.complete(conf, node), node.draining)


def pools(conf: NetConf) -> dict[Family, Pool]:
    """Give the pools of the families that are configured."""
    found = {
        IPV4: Pool(IPV4, tuple(conf.ipv4.prefixes), _ranges(conf.ipv4.exclude), conf.ipv4.reserve_edges),
        IPV6: Pool(IPV6, tuple(conf.ipv6.prefixes), _ranges(conf.ipv6.exclude)),
    }
    return {family: pool for family, pool in found.items() if pool.prefixes}


def wanted(intent: Intent, wishes: Wishes, key: Key, *, boottime_ns: int, elsewhere: Elsewhere) -> Wanted:
    """Say what an attachment needs; raise InvalidConfig for a wish that this network cannot fulfil."""
    conf, found = intent.conf, dict(intent.pools)
    if wishes.no_ipv4:
        found.pop(IPV4, None)
    if not found:
        msg = (
            "the pod wants no IPv4, and this network has nothing else; remove the annotation or configure ipv6.prefixes"
        )
        raise InvalidConfig(msg)
    requested = {family_of(address): address for address in wishes.ips}
    for family, address in requested.items():
        if family not in found:
            msg = f"requested address {address} cannot be given: the pod gets no {family}"
            raise InvalidConfig(f"{msg}; configure {family.key}.prefixes")
    return Wanted(
        key=key,
        pools=found,
        mode=Suffix(conf.ipv6.suffix),
        boottime_ns=boottime_ns,
        cooldown=conf.ipv4.cooldown,
        mac=_mac(wishes.mac),
        requested=requested,
        elsewhere=elsewhere,
    )


def settings(conf: NetConf) -> Settings:
    """Say what the node's firewall must be."""
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
    )


def plan(intended: Intent, attachment: Attachment, *, mtu: int, earlier: int, netns: str) -> Plan:
    """Say what to wire; `mtu` is the uplink's.

    `earlier` is how many interfaces of slash80 the container has already, or more: the metric that follows from it is
    no other interface's.
    """
    conf, given = intended.conf, attachment.assignment
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
    )


def _routes(conf: NetConf, addresses: Sequence[Address], earlier: int) -> Iterator[RouteSpec]:
    """Give the pod's routes: defaults unless the configuration has its own, then the configured ones.

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


def result(conf: NetConf, plan: Plan, wishes: Wishes) -> Result:
    """Say what was made, in the terms of the protocol."""
    ips = [Ip(address, family_of(address).gateway) for address in plan.addresses]
    first = IPV6 if conf.primary_family == IPV6.key else IPV4
    ips.sort(key=lambda ip: family_of(ip.address) is not first)
    asked = {route.dst for route in conf.routes}
    routes = []
    for route in plan.routes:
        priority = route.priority if route.dst in asked else None  # our own default routes' is nobody's business
        routes.append(Route(route.dst, family_of(route.dst).gateway, route.mtu, route.advmss, priority))
    return Result(
        interfaces=(
            Interface(plan.host_ifname, str(plan.host_mac), plan.mtu),
            Interface(plan.ifname, str(plan.mac), plan.mtu, plan.netns),
        ),
        ips=tuple(ips),
        routes=tuple(routes),
        dns=wishes.dns or _dns(conf),
    )


def pod(wishes: Wishes) -> Pod:
    """Name the Kubernetes pod."""
    return Pod(wishes.pod_namespace, wishes.pod_name, wishes.pod_uid)


def _dns(conf: NetConf) -> Document:
    return {key: value for key, value in conf.dns.model_dump().items() if value} if conf.dns else {}


def _mac(text: str) -> Mac | None:
    if not text:
        return None
    try:
        return Mac.parse(text)
    except ValueError as error:
        msg = f"the requested mac cannot be given: {error}"
        raise InvalidConfig(msg) from error


def _ranges(spans: list[tuple[str, str]]) -> tuple[Range, ...]:
    return tuple(Range(ip_address(first), ip_address(last)) for first, last in spans)
