"""What this cluster exports, from its ServiceExports, Services and EndpointSlices, and what is said of each.

Pure. Every ServiceExport gets a verdict in one sentence; `conditions` makes of it the conditions of the API, when it is
known whether the exports of other clusters contradict it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from slash80.addressing.family import Address, Prefix
from slash80.cluster.objects.conditions import FALSE, TRUE, Condition
from slash80.cluster.objects.endpointslice import Endpoint, EndpointSlice
from slash80.cluster.objects.ports import Port
from slash80.cluster.objects.reading import Unreadable
from slash80.cluster.objects.serviceexport import ServiceExport
from slash80.cluster.objects.servicespec import ServiceSpec
from slash80.clusterset import volume, wire
from slash80.clusterset.placement import placed
from slash80.clusterset.reasons import FILE, OwnMember, all_outside, left_out, not_exported, of_family, unreachable
from slash80.clusterset.records import Conflict, Export, Name, Properties, Slice
from slash80.clusterset.refuse import joined, unreserved
from slash80.clusterset.volume import Volume
from slash80.settings.clusterset import reserved as reserved_namespace

VALID, READY, CONFLICT = "Valid", "Ready", "Conflict"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a Service is exported, or why not: the reasons of the API for Valid and Ready, and the sentence for both.

    `valid` is Valid, NoService or InvalidServiceType; `ready` is Ready, Pending or Failed.
    """

    valid: str
    ready: str
    message: str


@dataclass(frozen=True, slots=True)
class Exported:
    """The exports, and a verdict of each ServiceExport, by this cluster's entry in the file; None where it has none."""

    exports: Mapping[Name, Export]
    verdicts: Mapping[Name, Verdict]
    member: OwnMember | None = None


_Given = tuple[ServiceExport, ServiceSpec | None, tuple[EndpointSlice, ...], OwnMember | None]


@dataclass(frozen=True, slots=True)
class _Judged:
    """What came of the objects of a name, which are the same objects as long as nothing has changed."""

    given: _Given
    verdict: Verdict
    export: Export | None
    amounts: Counter[str]


class Exporter:
    """Judges ServiceExports, and again only those of which something has changed since the last time."""

    def __init__(self, manager: str) -> None:
        """Begin without any; `manager` is who makes the Services of imported ones."""
        self._manager = manager
        self._judged: dict[Name, _Judged] = {}
        self._exports: Mapping[Name, Export] = {}

    def exported(
        self,
        serviceexports: Iterable[ServiceExport],
        service: Callable[[Name], ServiceSpec | None],
        slices: Callable[[Name], Iterable[EndpointSlice]],
        *,
        member: OwnMember | None,
        most: Mapping[str, int] = volume.MOST,
    ) -> Exported:
        """Return the exports of those that are ready, as the same object if none has changed, and all verdicts.

        `member` is None while this cluster is not in the file. Other clusters take `most` of one. Which ones those are
        must not change with every new one, so the oldest count, but of each namespace in turn: who may export from one
        takes nothing from another.
        """
        exports: dict[Name, Export] = {}
        verdicts: dict[Name, Verdict] = {}
        judged: dict[Name, _Judged] = {}
        taken = Volume(most)
        for one in _in_turn(serviceexports):
            if one.deleting:
                continue
            name = Name(one.namespace, one.name)
            judged[name] = self._judge(name, (one, service(name), tuple(slices(name)), member))
            verdict, export = judged[name].verdict, judged[name].export
            if export and (what := taken.excess(judged[name].amounts)):
                why = (
                    f"Other clusters take {most[what]} {what} of one cluster, of each namespace in turn the oldest "
                    "exports, and there are more; delete some ServiceExports."
                )
                verdict, export = Verdict(VALID, "Failed", why), None
            verdicts[name] = verdict
            if export:
                exports[name] = export
                taken.take(name, judged[name].amounts)
        self._judged = judged
        if exports != self._exports:
            self._exports = exports
        return Exported(self._exports, verdicts, member)

    def _judge(self, name: Name, given: _Given) -> _Judged:
        former = self._judged.get(name)
        if former and former.given == given:
            return former
        serviceexport, service, slices, member = given
        verdict, export = exported_one(serviceexport, service, slices, member=member, manager=self._manager)
        return _Judged(given, verdict, export, _amounts(export) if export else Counter())


def exported(
    serviceexports: Iterable[ServiceExport],
    service: Callable[[Name], ServiceSpec | None],
    slices: Callable[[Name], Iterable[EndpointSlice]],
    *,
    member: OwnMember | None,
    manager: str,
) -> Exported:
    """Judge each ServiceExport once, and return the exports of those that are ready."""
    return Exporter(manager).exported(serviceexports, service, slices, member=member)


def _in_turn(serviceexports: Iterable[ServiceExport]) -> list[ServiceExport]:
    """Return the oldest one of each namespace, then the second one of each, and so on."""
    turns = Counter[str]()
    ranked = []
    for one in sorted(serviceexports, key=_age):
        ranked.append((turns[one.namespace], one))
        turns[one.namespace] += 1
    return [one for _, one in sorted(ranked, key=lambda found: (found[0], _age(found[1])))]


def _age(serviceexport: ServiceExport) -> tuple[int, str, str]:
    return serviceexport.created, serviceexport.namespace, serviceexport.name


def _amounts(export: Export) -> Counter[str]:
    found = volume.amounts(export)
    found[volume.BYTES] = len(json.dumps(wire.encode(export)))
    return found


def exported_one(
    serviceexport: ServiceExport,
    service: ServiceSpec | None,
    slices: Iterable[EndpointSlice],
    *,
    member: OwnMember | None,
    manager: str,
) -> tuple[Verdict, Export | None]:
    """Judge one ServiceExport, and return its export if it is ready."""
    name = Name(serviceexport.namespace, serviceexport.name)
    if refused := _invalid(name, service, manager):
        return refused, None
    assert service is not None  # noqa: S101 -- for the type checker: _invalid refuses a missing one
    if refused := _not_allowed(name, member):
        return refused, None
    assert member is not None  # noqa: S101 -- the same of _not_allowed
    return _of_service(serviceexport, service, slices, member=member)


def conditions(
    serviceexport: ServiceExport, verdict: Verdict, conflicts: Sequence[Conflict], *, now: str
) -> tuple[Condition, ...]:
    """Return the conditions of a ServiceExport; their times move only when their status does."""
    valid, ready = verdict.valid == VALID, verdict.ready == READY
    found = (
        (VALID, valid, verdict.valid, "The Service can be exported." if valid else verdict.message),
        (READY, ready, verdict.ready, verdict.message),
        (
            CONFLICT,
            bool(conflicts),
            ",".join(dict.fromkeys(one.reason for one in conflicts)) or "NoConflicts",
            " ".join(one.message for one in conflicts) or "No export of another cluster contradicts this one.",
        ),
    )
    former = {one.type: one for one in serviceexport.conditions}
    return tuple(
        dated(Condition(kind, TRUE if is_so else FALSE, reason, why, serviceexport.generation), former.get(kind), now)
        for kind, is_so, reason, why in found
    )


def dated(condition: Condition, former: Condition | None, now: str) -> Condition:
    """Return a condition with the time since when its status is what it is."""
    same = former is not None and former.status == condition.status and former.since
    return Condition(
        condition.type,
        condition.status,
        condition.reason,
        condition.message,
        condition.generation,
        former.since if former and same else now,
    )


def _invalid(name: Name, service: ServiceSpec | None, manager: str) -> Verdict | None:
    if service is None or service.deleting:
        return Verdict("NoService", "Pending", f"There is no Service {name}; create it, or delete this ServiceExport.")
    if service.type == "ExternalName":
        why = f"Service {name} is of type ExternalName, which has no endpoints; create it in each cluster instead."
        return Verdict("InvalidServiceType", "Failed", why)
    if service.managed_by == manager:
        why = f"Service {name} stands for one that is imported from the clusterset; export that one's own Service."
        return Verdict("InvalidServiceType", "Failed", why)
    return None


def _not_allowed(name: Name, member: OwnMember | None) -> Verdict | None:
    if member is None:
        why = f"This cluster is not a member of a clusterset: {FILE} has no entry with its certificate; add one."
        return Verdict(VALID, "Pending", why)
    if reserved_namespace(name.namespace):
        return Verdict(VALID, "Failed", f"Namespace {name.namespace} belongs to Kubernetes, so it is never exported.")
    if not member.may_export(name.namespace):
        why = (
            f"Cluster {member.id} may not export namespace {name.namespace}; add it to `namespaces` of the entry "
            f"{member.id} in {FILE}."
        )
        return Verdict(VALID, "Failed", why)
    return None


def _of_service(
    serviceexport: ServiceExport, service: ServiceSpec, slices: Iterable[EndpointSlice], *, member: OwnMember
) -> tuple[Verdict, Export | None]:
    name = Name(service.namespace, service.name)
    families = tuple(family for family in service.families if of_family(member, family))
    if not families:
        return Verdict(VALID, "Failed", unreachable(service, member)), None
    slices = tuple(slices)
    if sum(len(one.endpoints) for one in slices) > 2 * volume.OF_ONE[volume.ENDPOINTS]:  # there may be two families
        return Verdict(VALID, "Failed", _too_large(name, volume.ENDPOINTS)), None
    inside, outside = _grouped(slices, member.prefixes)
    if outside and not inside:
        return Verdict(VALID, "Failed", all_outside(service, outside, member)), None
    export = Export(
        name,
        max(serviceexport.created, joined(member.since)),
        families,
        service.ports,
        _properties(serviceexport, service),
        _slices(inside, families),
    )
    if why := _refused(export):
        return Verdict(VALID, "Failed", why), None
    said = ["Other clusters can use it.", left_out(outside, member), not_exported(serviceexport)]
    return Verdict(VALID, READY, " ".join(filter(None, said))), export


def _refused(export: Export) -> str:
    """Return why other clusters would not take an export; empty where they do.

    What has too many endpoints is not written as text to be told so: that takes long, and its owner may do it often.
    """
    for amounts in (volume.amounts, _amounts):
        found = amounts(export)
        for what, most in volume.OF_ONE.items():
            if found[what] > most:
                return _too_large(export.name, what)
    try:
        wire.decode(wire.encode(export))
    except Unreadable as error:
        return f"Other clusters would refuse Service {export.name}: {error}."
    return ""


def _too_large(name: Name, what: str) -> str:
    return (
        f"Service {name} has more than {volume.OF_ONE[what]} {what}, which other clusters do not take of one; divide "
        "it into several Services."
    )


def _properties(serviceexport: ServiceExport, service: ServiceSpec) -> Properties:
    return Properties(
        service.headless,
        service.session_affinity,
        service.affinity_seconds,
        service.internal_traffic_policy,
        service.traffic_distribution,
        unreserved(serviceexport.labels),
        unreserved(serviceexport.annotations),
    )


_Grouped = dict[tuple[int, tuple[Port, ...]], list[Endpoint]]


def _grouped(slices: Iterable[EndpointSlice], prefixes: Sequence[Prefix]) -> tuple[_Grouped, set[Address]]:
    """Return the endpoints that may be exported by family and ports, and the addresses of the others."""
    inside: _Grouped = defaultdict(list)
    outside: set[Address] = set()
    for one in slices:
        if one.importer:
            continue
        ports = tuple(sorted(one.ports, key=lambda port: (port.name, port.protocol, port.port)))
        for endpoint in one.endpoints:
            if any(endpoint.address in prefix for prefix in prefixes if prefix.version == one.family):
                inside[one.family, ports].append(endpoint)
            else:
                outside.add(endpoint.address)
    return inside, outside


def _slices(inside: _Grouped, families: Sequence[int]) -> tuple[Slice, ...]:
    return tuple(
        Slice(family, ports, part.endpoints)
        for (family, ports), endpoints in sorted(inside.items(), key=lambda group: (group[0][0], str(group[0][1])))
        if family in families
        for part in placed(endpoints)
    )
