"""Why a Service is not exported, or not all of it: sentences with what to change, for the conditions of its export."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Protocol

from slash80.addressing.family import Address, Prefix
from slash80.cluster.objects.serviceexport import ServiceExport
from slash80.cluster.objects.servicespec import ServiceSpec
from slash80.clusterset.refuse import reserved

FILE = "clusterset.yaml of ConfigMap slash80-system/slash80-clusterset"
_SHOWN = 3  # addresses in a sentence


class OwnMember(Protocol):
    """This cluster's entry in the file, as far as it bounds what is exported."""

    @property
    def id(self) -> str:
        """The cluster's id."""

    @property
    def prefixes(self) -> Sequence[Prefix]:
        """What its pods may have as addresses."""

    @property
    def since(self) -> dt.date:
        """The day on which it joined."""

    def may_export(self, namespace: str) -> bool:
        """Report whether exports of a namespace are believed."""


def of_family(member: OwnMember, family: int) -> bool:
    """Report whether a member shares a prefix of a family with the others."""
    return any(prefix.version == family for prefix in member.prefixes)


def unreachable(service: ServiceSpec, member: OwnMember) -> str:
    """Return why no address of a Service's families can be reached from other clusters, and what to change."""
    name = f"Service {service.namespace}/{service.name}"
    if service.families == (4,):
        return (
            f"{name} has IPv4 addresses only, which other clusters cannot reach; set `ipFamilyPolicy: PreferDualStack` "
            "in its spec."
        )
    if not service.families:
        return f"{name} has no IP families yet."
    return (
        f"{name} has IPv6 addresses only, and the entry {member.id} in {FILE} has no IPv6 prefix; add this cluster's."
    )


def all_outside(service: ServiceSpec, outside: set[Address], member: OwnMember) -> str:
    """Return why no endpoint of a Service can be reached from other clusters, and what to change."""
    name = f"Service {service.namespace}/{service.name}"
    if service.families == (4,):
        return (
            f"{name} has IPv4 addresses only, such as {_some(outside)}, which are outside of the prefixes that other "
            f"clusters can reach; set `ipFamilyPolicy: PreferDualStack` in its spec, or add an IPv4 prefix that is "
            f"routed between the clusters to the entry {member.id} in {FILE}."
        )
    named = _some(_shared(outside, member) or outside)
    return (
        f"No endpoint of {name} can be reached from other clusters: {named} is outside of the prefixes of the "
        f"entry {member.id} in {FILE}; add its prefix there."
    )


def left_out(outside: set[Address], member: OwnMember) -> str:
    """Return which endpoints other clusters do not get; a family without any prefix is left out on purpose."""
    shared = _shared(outside, member)
    parts = []
    if others := outside - shared:
        (version,) = {address.version for address in others}
        parts.append(f"Its IPv{version} addresses are left out, since this cluster shares no IPv{version} prefix.")
    if shared:
        parts.append(
            f"Left out are {_some(shared)}, outside of the prefixes of the entry {member.id} in {FILE}; add their "
            "prefix there if other clusters may reach them."
        )
    return " ".join(parts)


def not_exported(serviceexport: ServiceExport) -> str:
    """Return which of the labels and annotations other clusters do not get; empty where they get all."""
    keys = [key for pairs in (serviceexport.labels, serviceexport.annotations) for key, _ in pairs if reserved(key)]
    if not keys:
        return ""
    return f"The key {keys[0]} is reserved for Kubernetes or for this program, so it is not exported; use another one."


def _shared(found: set[Address], member: OwnMember) -> set[Address]:
    return {address for address in found if of_family(member, address.version)}


def _some(found: set[Address]) -> str:
    """Name some addresses, the same ones for the same set."""
    ordered = [str(one) for one in sorted(found, key=lambda one: (one.version, int(one)))]
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + more
