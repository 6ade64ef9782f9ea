"""What the exports of all clusters come to: a pure function that every cluster computes for itself.

Exports of one namespaced name are one Service. Where they disagree the oldest counts, then the smaller cluster id
(KEP-1645, "Constraints and Conflict Resolution"); so all clusters have the same import, but for the IP families, which
are those of its own Services.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from slash80.cluster.objects.ports import Port
from slash80.clusterset.records import Conflict, Export, Import, ImportedSlice, Merged, Name

TYPE = "TypeConflict"
PORT = "PortConflict"
SESSION_AFFINITY = "SessionAffinityConflict"
SESSION_AFFINITY_CONFIG = "SessionAffinityConfigConflict"
INTERNAL_TRAFFIC_POLICY = "InternalTrafficPolicyConflict"
TRAFFIC_DISTRIBUTION = "TrafficDistributionConflict"
LABELS = "LabelsConflict"
ANNOTATIONS = "AnnotationsConflict"
IP_FAMILY = "IPFamilyConflict"
_Merged = TypeVar("_Merged")
Exports = Mapping[str, Mapping[Name, Export]]  # by the cluster's id


class _Exporter(NamedTuple):
    """A cluster, and what it exports under the name in question."""

    cluster: str
    export: Export


class _Setting(NamedTuple):
    """A property that must be the same in all clusters: what it is called, its value, and its value for people."""

    reason: str
    title: str
    value: Callable[[Export], object]
    shown: Callable[[Export], str]


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return ",".join(f"{key}={value}" for key, value in pairs)[:200]


_TYPE = _Setting(
    TYPE,
    "type",
    lambda one: one.properties.headless,
    lambda one: "Headless" if one.properties.headless else "ClusterSetIP",
)
_OF_ALL = (
    _Setting(LABELS, "exported labels", lambda one: one.properties.labels, lambda one: _pairs(one.properties.labels)),
    _Setting(
        ANNOTATIONS,
        "exported annotations",
        lambda one: one.properties.annotations,
        lambda one: _pairs(one.properties.annotations),
    ),
)
# A headless Service has no address behind which traffic would be spread.
_OF_CLUSTERSET_IP = (
    _Setting(
        SESSION_AFFINITY,
        "session affinity",
        lambda one: one.properties.session_affinity,
        lambda one: one.properties.session_affinity,
    ),
    _Setting(
        INTERNAL_TRAFFIC_POLICY,
        "internal traffic policy",
        lambda one: one.properties.internal_traffic_policy,
        lambda one: one.properties.internal_traffic_policy,
    ),
    _Setting(
        TRAFFIC_DISTRIBUTION,
        "traffic distribution",
        lambda one: one.properties.traffic_distribution,
        lambda one: one.properties.traffic_distribution or "none",
    ),
)
_CONFIG = _Setting(
    SESSION_AFFINITY_CONFIG,
    "session affinity timeout",
    lambda one: one.properties.affinity_seconds,
    lambda one: f"{one.properties.affinity_seconds} seconds" if one.properties.affinity_seconds else "the usual one",
)


def merge(exports: Exports, *, families: Sequence[int], names: Iterable[Name] | None = None) -> Merged:
    """Return the imports and the conflicts of all names, or of some.

    `exports` are those that are believed, of this cluster too; `families` (4, 6) are those of this cluster's Services,
    in their order. A silent member's exports still count: only who serves them is another matter.
    """
    wanted = {name for named in exports.values() for name in named} if names is None else set(names)
    imports: dict[Name, Import] = {}
    conflicts: dict[Name, tuple[Conflict, ...]] = {}
    for name in sorted(wanted):
        exporters = [_Exporter(cluster, named[name]) for cluster, named in exports.items() if name in named]
        if exporters:
            exporters.sort(key=lambda one: (one.export.created, one.cluster))
            imports[name] = _imported(name, exporters, families)
            if found := tuple(_conflicts(exporters)):
                conflicts[name] = found
    return Merged(imports, conflicts)


class Merger:
    """Merges again and again: of what has been merged before only names whose exports are others now.

    With 100 members of 1,000 exports all of it takes a quarter of a second, one name less than a millisecond. What is
    handed in is replaced and never changed, so a mapping that is the same object has the same exports.
    """

    def __init__(self) -> None:
        self._exports: Exports = {}
        self._families: tuple[int, ...] = ()
        self._merged = Merged()

    def merge(self, exports: Exports, *, families: Sequence[int]) -> Merged:
        """Return the same as `merge` of everything."""
        if self._families != tuple(families):
            self._exports, self._merged = {}, Merged()
        changed = _changed(self._exports, exports)
        if changed:
            part = merge(exports, families=families, names=changed)
            imports = {name: replace(one, changed_by=frozenset(changed[name])) for name, one in part.imports.items()}
            self._merged = Merged(
                _replaced(self._merged.imports, imports, changed),
                _replaced(self._merged.conflicts, part.conflicts, changed),
            )
        self._exports, self._families = dict(exports), tuple(families)
        return self._merged


def _changed(before: Exports, after: Exports) -> Mapping[Name, set[str]]:
    """Return the names under which some cluster exports another thing than before, with these clusters."""
    found = defaultdict[Name, set[str]](set)
    for cluster in before.keys() | after.keys():
        old, new = before.get(cluster, {}), after.get(cluster, {})
        if old is not new:
            for name in old.keys() | new.keys():
                if old.get(name) != new.get(name):
                    found[name].add(cluster)
    return found


def _replaced(
    before: Mapping[Name, _Merged], part: Mapping[Name, _Merged], names: Container[Name]
) -> dict[Name, _Merged]:
    return {name: one for name, one in before.items() if name not in names} | dict(part)


def _imported(name: Name, exporters: Sequence[_Exporter], families: Sequence[int]) -> Import:
    oldest = exporters[0].export
    ports = _union(exporters)
    chosen = _families(exporters, families, headless=oldest.properties.headless)
    by_id = sorted(exporters, key=lambda one: one.cluster)
    slices = tuple(part for one in by_id for part in _slices(one, set(ports), chosen))
    clusters = tuple(one.cluster for one in by_id)
    return Import(name, chosen, ports, oldest.properties, clusters, slices)


def _union(exporters: Iterable[_Exporter]) -> tuple[Port, ...]:
    """Return the union of the ports: of two with one name, or with one protocol and number, the older export's."""
    names: set[str] = set()
    numbers: set[tuple[str, int]] = set()
    found = []
    for _, export in exporters:
        for port in export.ports:
            if port.name not in names and (port.protocol, port.port) not in numbers:
                names.add(port.name)
                numbers.add((port.protocol, port.port))
                found.append(port)
    return tuple(found)


def _families(exporters: Iterable[_Exporter], own: Sequence[int], *, headless: bool) -> tuple[int, ...]:
    """Return in which families the Service is imported: those of this cluster's Services first, in their order.

    Not that of the oldest export, which changes with it: the first family of a Service is for life. A headless Service
    needs no address of this cluster's, so families that only pods have are good for it.
    """
    exported = [family for _, export in exporters for family in export.families]
    chosen = [family for family in own if family in exported]
    others = [family for family in (6, 4) if family in exported and family not in own] if headless else []
    return (*chosen, *others)


def _slices(exporter: _Exporter, ports: set[Port], families: Sequence[int]) -> Iterator[ImportedSlice]:
    """Yield a cluster's slices without the ports that lost a conflict, so that nothing is sent there for them.

    Who exposes a port under another name, or another number under its name, does not expose the port of the import.
    """
    kept_of_import = {(port.name, port.protocol, port.port) for port in ports}
    kept = {
        (port.name, port.protocol)
        for port in exporter.export.ports
        if (port.name, port.protocol, port.port) in kept_of_import
    }
    for one in exporter.export.slices:
        remaining = tuple(port for port in one.ports if (port.name, port.protocol) in kept)
        if one.family in families and (remaining or not one.ports):
            whole = len(remaining) == len(one.ports)
            yield ImportedSlice(exporter.cluster, one if whole else replace(one, ports=remaining))


def _conflicts(exporters: Sequence[_Exporter]) -> Iterator[Conflict]:
    if len(exporters) == 1:
        return
    yield from _disagreement(_TYPE, exporters, exporters)
    yield from _port_conflict(exporters)
    if not exporters[0].export.properties.headless:
        of_type = [one for one in exporters if not one.export.properties.headless]
        for setting in _OF_CLUSTERSET_IP:
            yield from _disagreement(setting, of_type, exporters)
        affinity = exporters[0].export.properties.session_affinity
        of_affinity = [one for one in of_type if one.export.properties.session_affinity == affinity]
        yield from _disagreement(_CONFIG, of_affinity, exporters)
    for setting in _OF_ALL:
        yield from _disagreement(setting, exporters, exporters)
    yield from _family_conflict(exporters)


def _disagreement(
    setting: _Setting, compared: Sequence[_Exporter], exporters: Sequence[_Exporter]
) -> Iterator[Conflict]:
    oldest = exporters[0]
    others = [one for one in compared if setting.value(one.export) != setting.value(oldest.export)]
    if others:
        used = f'Using "{setting.shown(oldest.export)}" from oldest service export in "{oldest.cluster}".'
        yield Conflict(setting.reason, f"Conflicting {setting.title}. {used} {_share(others, exporters)}")


def _port_conflict(exporters: Sequence[_Exporter]) -> Iterator[Conflict]:
    oldest = exporters[0]
    others = [one for one in exporters if set(one.export.ports) != set(oldest.export.ports)]
    if others:
        union = ", ".join(f"{port.name or 'unnamed'} {port.protocol}/{port.port}" for port in _union(exporters)[:20])
        used = f"Using the union {union}, of two with one name or number that from the older service export."
        yield Conflict(PORT, f"Conflicting ports. {used} {_share(others, exporters)}")


def _family_conflict(exporters: Sequence[_Exporter]) -> Iterator[Conflict]:
    """Yield the conflict of clusters that serve different families: by one of them only a part is reached."""
    for family in (4, 6):
        without = [one for one in exporters if family not in one.export.families]
        if 0 < len(without) < len(exporters):
            why = f"IPv{family} does not reach the endpoints in {', '.join(one.cluster for one in without[:20])}."
            yield Conflict(IP_FAMILY, f"Conflicting IP families. {why} {_share(without, exporters)}")


def _share(others: Sequence[_Exporter], exporters: Sequence[_Exporter]) -> str:
    return f"{len(others)}/{len(exporters)} clusters disagree."
