"""What a node should be like, from all that is known of it and its cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from slash80.addressing.family import FAMILIES, Address, Family, Prefix, family_of
from slash80.cluster.objects.node import NodeSeen
from slash80.desired import prefixes as choice
from slash80.desired import trust
from slash80.desired.prefixes import Chosen, PrefixReport
from slash80.desired.problems import Problem, Reason
from slash80.desired.trust import Accepted
from slash80.settings.cluster import ClusterSettings
from slash80.settings.node import NodeFile
from slash80.wiring.plan import NodeRoute


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known: settings, prefix sources, the Nodes as Kubernetes shows them, and what is in force.

    `own` is missing while the API has not shown this node; `services` are the ClusterIP ranges, missing while
    their list is not complete; `in_use` are the addresses of this node's attachments.
    """

    settings: ClusterSettings
    reports: tuple[PrefixReport, ...] = ()
    own: NodeSeen | None = None
    others: tuple[NodeSeen, ...] = ()
    services: tuple[Prefix, ...] | None = None
    before: NodeFile | None = None
    in_use: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """What should be so: `node.json`, routes to other nodes, and problems with what could not be followed.

    `sources` says of each active prefix where it is from, `others` are the accepted prefixes of other nodes.
    """

    node_file: dict[str, Any]
    sources: dict[str, str]
    routes: tuple[NodeRoute, ...]
    others: tuple[Prefix, ...]
    problems: tuple[Problem, ...]

    @property
    def prefixes(self) -> tuple[str, ...]:
        """All prefixes of the node, IPv6 first."""
        return tuple(entry["prefix"] for entry in self._entries)

    @property
    def draining(self) -> tuple[str, ...]:
        """Those of them that only living pods have addresses of."""
        return tuple(entry["prefix"] for entry in self._entries if entry["state"] == "draining")

    @property
    def _entries(self) -> list[dict[str, str]]:
        return [*self.node_file["ipv6"], *self.node_file["ipv4"]]


def desired(observed: Observed) -> Desired | None:
    """Return what should be so; None where what is in force has to stay, because too little is known."""
    settings = observed.settings
    chosen, problems = choice.choose(observed.reports, settings.prefix_sources)
    if observed.own is None and (observed.before is not None or not chosen):
        return None
    services = _services(observed)
    bounds = trust.Bounds(tuple(settings.firewall.cluster_prefixes), services)
    accepted = trust.accepted_prefixes(observed.others, bounds)
    problems += accepted.rejected
    chosen = {family: _undisputed(one, observed, accepted, problems=problems) for family, one in chosen.items()}
    if not any(one.prefixes for one in chosen.values()):
        message = (
            f"no source of {', '.join(settings.prefix_sources)} has a prefix for this node; give it one, for example "
            "by --node-cidr-mask-size-ipv6=80 of kube-controller-manager"
        )
        problems.append(Problem(Reason.NO_PREFIX, observed.own.name if observed.own else "", message))
    others = tuple(prefix for prefixes in accepted.prefixes.values() for prefix in prefixes)
    return Desired(
        node_file=_node_file(observed, chosen, others=others, services=services),
        sources={str(prefix): one.source for one in chosen.values() for prefix in one.prefixes},
        routes=tuple(_routes(observed.others, accepted)) if settings.node_routes == "auto" else (),
        others=others,
        problems=tuple(problems),
    )


def _services(observed: Observed) -> tuple[Prefix, ...]:
    """Return the ClusterIP ranges; as long as the API has not listed them, those that are in force."""
    if given := observed.settings.firewall.service_cidrs:
        return tuple(given)
    if observed.services is not None:
        return observed.services
    return tuple(observed.before.firewall.service_cidrs) if observed.before else ()


def _undisputed(one: Chosen, observed: Observed, accepted: Accepted, *, problems: list[Problem]) -> Chosen:
    """Leave out what an older node has; a younger node, by the same rule, leaves ours to us."""
    own = observed.own
    older = [node.name for node in observed.others if own and node.seniority < own.seniority]
    kept = []
    for prefix in one.prefixes:
        owner = next((name for name in older if any(prefix.overlaps(held) for held in accepted.prefixes[name])), None)
        if owner:
            message = f"prefix {prefix} from source {one.source} is not used: node {owner} has it; give one away"
            problems.append(Problem(Reason.PREFIX_OF_OTHER_NODE, str(prefix), message))
        else:
            kept.append(prefix)
    return Chosen(one.source, tuple(kept))


def _node_file(
    observed: Observed, chosen: dict[Family, Chosen], *, others: Sequence[Prefix], services: Sequence[Prefix]
) -> dict[str, Any]:
    settings, own = observed.settings, observed.own
    active = {prefix for one in chosen.values() for prefix in one.prefixes}
    document: dict[str, Any] = {"version": 1}
    for family in FAMILIES:
        entries = [(prefix, "active") for prefix in (chosen[family].prefixes if family in chosen else ())]
        entries += [(prefix, "draining") for prefix in _draining(observed, active) if family_of(prefix) is family]
        document[family.key] = [{"prefix": str(prefix), "state": state} for prefix, state in entries]
    document["primaryFamily"] = _primary(own).key if len(chosen) != 1 else next(iter(chosen)).key
    document["mtu"] = settings.mtu
    firewall = settings.firewall.model_dump(by_alias=True, exclude_unset=True, mode="json")
    nodes = [own, *observed.others] if own else observed.others
    addresses = [ip_network(address) for node in nodes for address in node.addresses]
    for key, given, found in (
        ("clusterPrefixes", settings.firewall.cluster_prefixes, others),
        ("nodePrefixes", settings.all_node_prefixes, addresses),
        ("serviceCIDRs", settings.firewall.service_cidrs, services),
    ):
        firewall[key] = sorted({str(prefix) for prefix in given or found})
    document["firewall"] = firewall
    document["options"] = {
        key: options.model_dump(by_alias=True, exclude_unset=True, mode="json")
        for key, options in (("ipv6", settings.ipv6), ("ipv4", settings.ipv4))
    }
    return document


def _draining(observed: Observed, active: set[Prefix]) -> Iterator[Prefix]:
    """Yield the prefixes in force that no further address is handed out of, and that pods still have addresses of."""
    for prefix, _ in observed.before.prefixes if observed.before else ():
        if prefix not in active and any(address in prefix for address in observed.in_use):
            yield prefix


def _primary(own: NodeSeen | None) -> Family:
    """Return the family that the cluster has first, as its controller manager and kubelets say."""
    first: Iterable[Prefix | Address] = (*own.pod_cidrs, *own.addresses) if own else ()
    return next((family_of(value) for value in first), FAMILIES[0])


def _routes(others: Iterable[NodeSeen], accepted: Accepted) -> Iterator[NodeRoute]:
    for node in others:
        for prefix in accepted.prefixes[node.name]:
            gateway = next((address for address in node.addresses if address.version == prefix.version), None)
            if gateway:
                yield NodeRoute(prefix, gateway)
