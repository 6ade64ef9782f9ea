"""What a node should be like, from all that is known of it and its cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slash80.addressing.family import Family, Prefix
from slash80.cluster.objects.node import NodeSeen
from slash80.desired import members, node_file
from slash80.desired import prefixes as choice
from slash80.desired.alone import Bounds, Own, is_usable, unread
from slash80.desired.members import NO_TRUST, Decision, Ours, Trust
from slash80.desired.observed import Observed
from slash80.desired.prefixes import Chosen
from slash80.desired.problems import Problem, Reason
from slash80.desired.trust import Accepted, Judge
from slash80.settings.cluster import ClusterSettings
from slash80.wiring.plan import NodeRoute

if TYPE_CHECKING:
    from slash80.settings.clusterset import Clusterset


@dataclass(frozen=True, slots=True)
class Desired:
    """What should be so: `node.json`, routes to other nodes, and problems with what could not be followed.

    `sources` says of each active prefix where it is from, `others` are the accepted prefixes of other nodes, `believed`
    the settings that are missing, in whose place every kubelet is believed. `trust` are the members of `clusterset`,
    the one that was used.
    """

    node_file: dict[str, Any]
    sources: dict[str, str]
    routes: tuple[NodeRoute, ...]
    others: tuple[Prefix, ...]
    problems: tuple[Problem, ...]
    believed: tuple[str, ...] = ()
    trust: Trust = NO_TRUST
    clusterset: Clusterset | None = None

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


def desired(observed: Observed, judge: Judge | None = None) -> Desired | None:
    """Return what should be so; None where what is in force has to stay, because too little is known.

    A judge that is handed in each time looks only at the nodes that have changed.
    """
    settings, judge = observed.settings, judge or Judge()
    chosen, problems = choice.choose(observed.reports, settings.prefix_sources)
    if observed.own is None and (observed.before is not None or not chosen):
        return None
    services = _services(observed)
    accepted = judge.judge(observed.others, _bounds(observed, chosen, services))
    problems += [*(unread(observed.own) if observed.own else []), *accepted.rejected]
    chosen = {family: _undisputed(one, judge, problems=problems) for family, one in chosen.items()}
    if not any(one.prefixes for one in chosen.values()):
        message = (
            f"no source of {', '.join(settings.prefix_sources)} has a prefix for this node; give it one, for example "
            "by --node-cidr-mask-size-ipv6=80 of kube-controller-manager"
        )
        problems.append(Problem(Reason.NO_PREFIX, observed.own.name if observed.own else "", message))
    decision = _of_members(observed, chosen, services)
    problems += decision.problems
    ranked = sorted(observed.others, key=lambda node: node.seniority)
    beside = len(decision.trust.prefixes)
    prefixes = node_file.shared([accepted.prefixes[node.name] for node in ranked], beside=beside)
    addresses = node_file.shared([accepted.addresses[node.name] for node in ranked], beside=beside)
    if left_out := prefixes.left_out + addresses.left_out:
        message = (
            f"node.json has no room for {left_out} prefixes and addresses of nodes; set clusterPrefixes, nodePrefixes"
        )
        problems.append(Problem(Reason.NODE_OBJECT_INVALID, "node.json", message))
    return Desired(
        node_file=node_file.document(
            observed,
            chosen,
            others=prefixes.kept,
            addresses=addresses.kept,
            services=services,
            members=decision.trust.prefixes,
        ),
        sources={str(prefix): one.source for one in chosen.values() for prefix in one.prefixes},
        routes=tuple(_routes(observed.others, accepted)) if settings.node_routes == "auto" else (),
        others=prefixes.kept,
        problems=tuple(problems),
        believed=_believed(settings),
        trust=decision.trust,
        clusterset=decision.clusterset,
    )


def _of_members(observed: Observed, chosen: dict[Family, Chosen], services: tuple[Prefix, ...]) -> Decision:
    """Return which members of the clusterset are trusted."""
    settings = observed.settings
    active = [prefix for one in chosen.values() for prefix in one.prefixes]
    pods = (*settings.firewall.cluster_prefixes, *active, *node_file.draining(observed, active))
    return members.decide(observed.clustersets, Ours(pods, services, (*observed.links, *settings.all_node_prefixes)))


def _believed(settings: ClusterSettings) -> tuple[str, ...]:
    given = {"clusterPrefixes": settings.firewall.cluster_prefixes, "nodePrefixes": settings.all_node_prefixes}
    return tuple(key for key, value in given.items() if not value)


def _services(observed: Observed) -> tuple[Prefix, ...]:
    """Return the ClusterIP ranges; as long as the API has not listed them, those that are in force."""
    if given := observed.settings.firewall.service_cidrs:
        return tuple(given)
    if observed.services is not None:
        return observed.services
    return tuple(observed.before.firewall.service_cidrs) if observed.before else ()


def _bounds(observed: Observed, chosen: dict[Family, Chosen], services: tuple[Prefix, ...]) -> Bounds:
    settings, node = observed.settings, observed.own
    mine = tuple((prefix, one.source == "spec") for one in chosen.values() for prefix in one.prefixes)
    own = Own(node.seniority, tuple(filter(is_usable, node.addresses)), mine) if node else Own(("", ""), (), mine)
    return Bounds(tuple(settings.firewall.cluster_prefixes), services, tuple(settings.all_node_prefixes), own)


def _undisputed(one: Chosen, judge: Judge, *, problems: list[Problem]) -> Chosen:
    """Leave out what another node has by the judge's rule; by the same rule others leave ours to us."""
    kept = []
    for prefix in one.prefixes:
        if owner := next(judge.overlapping(prefix), None):
            message = f"prefix {prefix} from source {one.source} is not used: node {owner.name} has it; give one away"
            problems.append(Problem(Reason.PREFIX_OF_OTHER_NODE, str(prefix), message))
        else:
            kept.append(prefix)
    return Chosen(one.source, tuple(kept))


def _routes(others: Iterable[NodeSeen], accepted: Accepted) -> Iterator[NodeRoute]:
    for node in others:
        for prefix in accepted.prefixes[node.name]:
            own = accepted.addresses[node.name]
            gateway = next((address for address in own if address.version == prefix.version), None)
            if gateway:
                yield NodeRoute(prefix, gateway)
