"""`node.json` as it should be: never more than its readers take, whatever the other nodes say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from slash80.addressing.family import FAMILIES, IPV4, Address, Family, Prefix, family_of
from slash80.cluster.objects.node import NodeSeen
from slash80.desired.alone import is_usable
from slash80.desired.observed import Observed
from slash80.desired.prefixes import Chosen

T = TypeVar("T")
_MOST = 16_000  # prefixes, and addresses, of other nodes: with as many of both the file is as long as its readers take
_ENTRIES = 256  # of a family, of this node


@dataclass(frozen=True, slots=True)
class Shared(Generic[T]):
    """What was kept of all nodes' lists, and how many were left out."""

    kept: tuple[T, ...]
    left_out: int


def shared(lists: Sequence[Sequence[T]], *, beside: int = 0) -> Shared[T]:
    """Return what there is room for beside so many prefixes of other clusters.

    Where that is not enough for all, nodes have equal shares, the oldest first.
    """
    wanted, most = sum(map(len, lists)), _MOST - beside
    share = max(map(len, lists), default=0)
    while share > 1 and sum(min(len(one), share) for one in lists) > most:
        share //= 2
    kept = tuple(value for one in lists for value in one[:share])[:most]
    return Shared(kept, wanted - len(kept))


def document(
    observed: Observed,
    chosen: Mapping[Family, Chosen],
    *,
    others: Sequence[Prefix],
    addresses: Sequence[Address],
    services: Sequence[Prefix],
    members: Sequence[Prefix] = (),
) -> dict[str, Any]:
    """Return the document; `others` and `addresses` are those of other nodes, `members` other clusters' prefixes."""
    settings, own = observed.settings, observed.own
    active = {prefix for one in chosen.values() for prefix in one.prefixes}
    found: dict[str, Any] = {"version": 1}
    for family in FAMILIES:
        entries = [(prefix, "active") for prefix in (chosen[family].prefixes if family in chosen else ())]
        entries += [(prefix, "draining") for prefix in draining(observed, active) if family_of(prefix) is family]
        found[family.key] = [{"prefix": str(prefix), "state": state} for prefix, state in entries[:_ENTRIES]]
    found["primaryFamily"] = _primary(own).key if len(chosen) != 1 else next(iter(chosen)).key
    found["mtu"] = settings.mtu
    mine = [address for address in own.addresses if is_usable(address)] if own else []
    hosts = [f"{address}/{address.max_prefixlen}" for address in (*mine, *addresses)]
    found["firewall"] = settings.firewall.given() | {
        "clusterPrefixes": _texts(settings.firewall.cluster_prefixes or others),
        "nodePrefixes": _texts(settings.all_node_prefixes or hosts),
        "serviceCIDRs": _texts(settings.firewall.service_cidrs or services),
    }
    found["options"] = {"ipv6": settings.ipv6.given(), "ipv4": settings.ipv4.given()}
    _add(found["firewall"], "trusted", members)
    _add(found["options"]["ipv4"], "noMasquerade", [one for one in members if family_of(one) is IPV4])
    return found


def _add(keys: dict[str, Any], key: str, prefixes: Sequence[Prefix]) -> None:
    """Add prefixes to those that the settings give under a key."""
    if prefixes:
        keys[key] = [*dict.fromkeys([*keys.get(key, ()), *map(str, prefixes)])]


def _texts(prefixes: Iterable[object]) -> list[str]:
    return sorted(set(map(str, prefixes)))


def draining(observed: Observed, active: Collection[Prefix]) -> Iterator[Prefix]:
    """Yield the prefixes in force that no further address is handed out of, and that pods still have addresses of."""
    for prefix, _ in observed.before.prefixes if observed.before else ():
        if prefix not in active and any(address in prefix for address in observed.in_use):
            yield prefix


def _primary(own: NodeSeen | None) -> Family:
    """Return the family that the cluster has first, as its controller manager and kubelets say."""
    first: Iterable[Prefix | Address] = (*own.pod_cidrs, *own.addresses) if own else ()
    return next((family_of(value) for value in first), FAMILIES[0])
