"""What has to be written so that what is there becomes what is wanted: pure.

What another program has made is never changed, and what a member may still want is not deleted before it has said so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from slash80.cluster.objects.clusterproperty import ClusterProperty
from slash80.cluster.objects.conditions import Condition
from slash80.cluster.objects.endpointslice import WrittenSlice
from slash80.cluster.objects.managed import digest
from slash80.cluster.objects.reading import Document
from slash80.cluster.objects.serviceexport import GROUP, ServiceExport
from slash80.cluster.objects.serviceimport import ServiceImport
from slash80.cluster.objects.servicespec import ServiceSpec
from slash80.clusterset.documents import MANAGER, Desired, Found, Members, documents, path_of
from slash80.clusterset.records import Import, Name
from slash80.clusterset.served import Served

Record = ServiceImport | ServiceSpec | WrittenSlice | ServiceExport | ClusterProperty
There = Mapping[str, Record]  # by path
EXPORTS = f"/apis/{GROUP}/{{}}/serviceexports"


class Verb(Enum):
    """How an object is changed: `CREATE` is an apply that takes nothing over from another manager.

    `DEMOTE` makes a slice a last resort as it is, where it is not known what else would be in it.
    """

    CREATE = "create"
    DEMOTE = "demote"
    APPLY = "apply"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """One request. `path` has the subresource, `object` is the path without it."""

    verb: Verb
    object: str
    path: str
    body: Document | None = None
    uid: str = ""

    @property
    def decides(self) -> bool:
        """Whether other objects of the name depend on it: on the import's uid, and on the Service's address."""
        return (
            self.path == self.object and bool(self.body) and (self.body or {})["kind"] in {"ServiceImport", "Service"}
        )

    @property
    def digest(self) -> bytes:
        """What is applied, to notice that the same is applied again and again."""
        return digest(self.body) if self.body else b""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be of one name: the import, and the conditions of this cluster's own ServiceExport."""

    imported: Import | None = None
    conditions: tuple[Condition, ...] = ()


def changes(
    name: Name, wanted: Wanted, there: There, *, members: Members, now: str, served: Served
) -> tuple[list[Change], dict[str, str]]:
    """Return the changes of a name's objects in their order, and for each that is left alone the reason, by path."""
    found = _found(there)
    problems = dict(_foreign(there))
    result = [*_export_status(name, wanted, there, version=served.version)]
    desired: list[Desired] = []
    if wanted.imported and not (found.serviceimport and found.serviceimport.managed_by != MANAGER):
        made = documents(wanted.imported, found, members, now=now, version=served.version)
        desired = [served.taken(one) for one in made]
    result += applies([one for one in desired if one.path not in problems], there)
    keep = {one.path for one in desired} | problems.keys()
    result += _demotes(there, members, keep=keep)
    result += _deletes(wanted, there, members, keep=keep)
    return result, problems


def applies(desired: Sequence[Desired], there: There) -> Iterator[Change]:
    """Yield what has to be applied; a status only where its object is there, and is as it is to be."""
    for one in desired:
        record = there.get(one.path)
        if record is not None and record.deleting:
            continue
        if one.body is not None and (record is None or _applied(record) != digest(one.body)):
            verb = Verb.APPLY if record else Verb.CREATE
            yield Change(verb, one.path, one.path, one.body if record is None else _of(record, one.body))
    for one in desired:
        record = there.get(one.path)
        if (
            one.status is not None
            and record is not None
            and not record.deleting
            and _status(record) != digest(one.status)
        ):
            yield Change(Verb.APPLY, one.path, f"{one.path}/status", _of(record, one.status))


def _of(record: Record, body: Document) -> Document:
    """Return what is applied to this very object: one that came in its place meanwhile is left alone."""
    return body | {"metadata": body["metadata"] | {"uid": record.uid}}


def _applied(record: Record) -> bytes:
    return b"" if isinstance(record, ServiceExport) else record.applied


def _status(record: Record) -> bytes:
    return record.status if isinstance(record, ServiceImport | ServiceExport) else b""


def _found(there: There) -> Found:
    slices = tuple(one for one in there.values() if isinstance(one, WrittenSlice))
    serviceimport = next((one for one in there.values() if isinstance(one, ServiceImport)), None)
    service = next((one for one in there.values() if isinstance(one, ServiceSpec)), None)
    return Found(serviceimport, service, slices)


def _foreign(there: There) -> Iterator[tuple[str, str]]:
    for path, one in there.items():
        if isinstance(one, ServiceImport) and one.managed_by != MANAGER:
            makers = f" ({', '.join(one.managers)})" if one.managers else ""
            who = f"ServiceImport {one.namespace}/{one.name} was made by another program{makers}"
            next_step = "remove that controller of the Multi-Cluster Services API, or delete the ServiceImport"
            yield path, f"{who}, so the Service is not imported; {next_step}."
        if isinstance(one, ServiceSpec) and one.managed_by != MANAGER:
            who = f"Service {one.namespace}/{one.name} was made by another program"
            yield path, f"{who}, so the Service that is to have its name is not imported; delete it."


def _export_status(name: Name, wanted: Wanted, there: There, *, version: str) -> Iterator[Change]:
    path = path_of(EXPORTS.format(version), *name)
    if wanted.conditions and path in there:
        body = {
            "apiVersion": f"{GROUP}/{version}",
            "kind": "ServiceExport",
            "metadata": {"name": name.name, "namespace": name.namespace},
            "status": {"conditions": [one.document() for one in wanted.conditions]},
        }
        yield from applies([Desired(path, None, body)], there)


def _demotes(there: There, members: Members, *, keep: set[str]) -> Iterator[Change]:
    """Yield what makes the slices of members a last resort that have died before this process could ask them."""
    dead = members.silent & members.unheard
    for path, one in there.items():
        if not isinstance(one, WrittenSlice) or one.cluster not in dead or path in keep:
            continue
        if one.proxied and one.ready and not one.deleting:
            yield Change(Verb.DEMOTE, path, path, uid=one.uid)


def _deletes(wanted: Wanted, there: There, members: Members, *, keep: set[str]) -> Iterator[Change]:
    """Yield deletions: the ServiceImport first, as it is what people and CoreDNS go by."""
    serviceimport = _found(there).serviceimport
    kept = serviceimport is not None and any(one in members.absent for one in serviceimport.clusters)
    for kind in (ServiceImport, ServiceSpec, WrittenSlice):
        for path, one in there.items():
            if (
                not isinstance(one, kind)
                or path in keep
                or one.deleting
                or isinstance(one, ServiceExport | ClusterProperty)
            ):
                continue
            if isinstance(one, WrittenSlice) and one.cluster in members.unheard:
                continue
            if not isinstance(one, WrittenSlice) and kept and wanted.imported is None:
                continue
            yield Change(Verb.DELETE, path, path, uid=one.uid)
