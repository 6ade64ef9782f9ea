"""What a node is to do, from all that is known: no file, no packet, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from slash80.addressing.family import FAMILIES, Address, Family, Prefix, family_of
from slash80.cluster import trust
from slash80.cluster.objects import NodeSeen
from slash80.prefixes import choice, of_node
from slash80.prefixes.choice import Chosen
from slash80.prefixes.static import Static
from slash80.settings.cluster import ClusterSettings
from slash80.settings.node import NodeFile
from slash80.wiring.node_routes import NodeRoute


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known: the settings, this node and the others as Kubernetes shows them, and what was in force so far.

    `own` is None while the API has said nothing of this node; `services` are the ClusterIPs as the API has them;
    `in_use` are the addresses of this node's attachments.
    """

    settings: ClusterSettings
    static: Static
    own: NodeSeen | None = None
    others: tuple[NodeSeen, ...] = ()
    services: tuple[Prefix, ...] = ()
    before: NodeFile | None = None
    in_use: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be so: `node.json`, routes to other nodes, and sentences about what could not be followed.

    `sources` says of each active prefix where it is from, `others` are the believed prefixes of other nodes.
    """

    node_file: dict[str, Any]
    sources: dict[str, str]
    routes: tuple[NodeRoute, ...]
    others: tuple[Prefix, ...]
    problems: tuple[str, ...]


def decide(situation: Situation) -> Decision | None:
    """Decide; None where what is in force has to stay, because too little is known."""
    settings = situation.settings
    chosen, problems = _chosen(situation)
    if situation.own is None and (situation.before is not None or not chosen):
        return None
    services = tuple(settings.firewall.service_cidrs) or situation.services
    bounds = trust.Bounds(tuple(settings.firewall.cluster_prefixes), services)
    believed = trust.believe(situation.others, bounds)
    problems += believed.rejected
    chosen = {family: _undisputed(one, situation, believed, problems=problems) for family, one in chosen.items()}
    if not any(one.prefixes for one in chosen.values()):
        problems.append(
            f"no source of {', '.join(settings.prefix_sources)} has a prefix for this node; give it one, for example "
            "by --node-cidr-mask-size-ipv6=80 of kube-controller-manager"
        )
    others = tuple(prefix for prefixes in believed.prefixes.values() for prefix in prefixes)
    return Decision(
        node_file=_node_file(situation, chosen, others=others, services=services),
        sources={str(prefix): one.source for one in chosen.values() for prefix in one.prefixes},
        routes=tuple(_routes(situation.others, believed)) if settings.node_routes == "auto" else (),
        others=others,
        problems=tuple(problems),
    )


def _chosen(situation: Situation) -> tuple[dict[Family, Chosen], list[str]]:
    sources = {
        "static": situation.static.prefixes,
        "annotation": lambda: of_node.annotation(situation.own),
        "spec": lambda: of_node.spec(situation.own),
    }
    return choice.choose(sources, situation.settings.prefix_sources)


def _undisputed(one: Chosen, situation: Situation, believed: trust.Believed, *, problems: list[str]) -> Chosen:
    """Leave out what an older node has, which leaves it to that one; a younger node leaves ours to us."""
    own = situation.own
    older = [node.name for node in situation.others if own and node.seniority < own.seniority]
    kept = []
    for prefix in one.prefixes:
        owner = next((name for name in older if any(prefix.overlaps(held) for held in believed.prefixes[name])), None)
        if owner:
            problems.append(f"prefix {prefix} from source {one.source} is not used: node {owner} has it; give one away")
        else:
            kept.append(prefix)
    return Chosen(one.source, tuple(kept))


def _node_file(
    situation: Situation, chosen: dict[Family, Chosen], *, others: Sequence[Prefix], services: Sequence[Prefix]
) -> dict[str, Any]:
    settings, own = situation.settings, situation.own
    active = {prefix for one in chosen.values() for prefix in one.prefixes}
    document: dict[str, Any] = {"version": 1}
    for family in FAMILIES:
        entries = [(prefix, "active") for prefix in (chosen[family].prefixes if family in chosen else ())]
        entries += [(prefix, "draining") for prefix in _draining(situation, active) if family_of(prefix) is family]
        document[family.key] = [{"prefix": str(prefix), "state": state} for prefix, state in entries]
    document["primaryFamily"] = _primary(own).key if len(chosen) != 1 else next(iter(chosen)).key
    document["mtu"] = settings.mtu
    firewall = settings.firewall.model_dump(by_alias=True, exclude_unset=True, mode="json")
    nodes = [own, *situation.others] if own else situation.others
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


def _draining(situation: Situation, active: set[Prefix]) -> Iterator[Prefix]:
    """Give the prefixes of before that are not handed out of any more, and that pods still have addresses of."""
    for prefix, _ in situation.before.prefixes if situation.before else ():
        if prefix not in active and any(address in prefix for address in situation.in_use):
            yield prefix


def _primary(own: NodeSeen | None) -> Family:
    """Give the family that the cluster has first, as its controller manager and kubelets say."""
    first: Iterable[Prefix | Address] = (*own.pod_cidrs, *own.addresses) if own else ()
    return next((family_of(value) for value in first), FAMILIES[0])


def _routes(others: Iterable[NodeSeen], believed: trust.Believed) -> Iterator[NodeRoute]:
    for node in others:
        for prefix in believed.prefixes[node.name]:
            gateway = next((address for address in node.addresses if address.version == prefix.version), None)
            if gateway:
                yield NodeRoute(prefix, gateway)
