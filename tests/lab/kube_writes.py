"""What an API server does with objects that are created, applied and deleted: owners of fields, defaults, refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.kube import FakeApi

Document = dict[str, Any]
Leaf = tuple[str, ...]
_KEYED = {
    "conditions": "type",
    "clusters": "cluster",
    "ownerReferences": "uid",
}  # lists whose entries are owned one by one
_SERVICES, _SLICES = "services", "endpointslices"
CREATED = "2026-11-28T12:00:00Z"


class Refusal(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Place:
    """Where an object is kept: the path of the list of all namespaces, its namespace, its name, and the subresource."""

    path: str
    namespace: str
    name: str
    subresource: str = ""

    @property
    def key(self) -> str:
        """What it has in that list."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def place(path: str, named: str = "") -> Place:
    """Find it by the path of an object; by that of a list with the name of an object that is to be in it."""
    head, _, tail = path.partition("/namespaces/")
    parts = tail.split("/") if tail and "/" in tail else []
    if parts:  # namespace, kind, name, subresource
        name, subresource, *_ = [*parts[2:], named, ""] if named else [*parts[2:], "", ""]
        return Place(f"{head}/{parts[1]}", parts[0], name, subresource)
    if named:
        return Place(path, "", named)
    subresource = "status" if path.endswith("/status") else ""
    folder, _, name = path.removesuffix("/status").rpartition("/")
    return Place(folder, "", name, subresource)


@dataclass
class Writes:
    """Changes the objects of a fake API server as a real one does; `families` are those of its clusterIPs, in order."""

    api: FakeApi
    families: list[str] = field(default_factory=lambda: ["IPv6", "IPv4"])
    full: set[str] = field(default_factory=set)  # namespaces whose quota is used up
    collecting: bool = True  # whether what belonged to a deleted object is deleted with it, at once
    made: int = 0  # how many objects were created or changed
    ranges: dict[str, str] = field(default_factory=lambda: {"IPv6": "fd00:10:96::/112", "IPv4": "10.96.0.0/12"})
    unsupported: set[str] = field(default_factory=set)  # values of trafficDistribution that this version does not know
    names_ranges: bool = True  # whether a refused clusterIP names the range, as it does before Kubernetes 1.33
    _owned: dict[tuple[str, str], dict[tuple[str, str], set[Leaf]]] = field(default_factory=dict)

    def create(self, path: str, body: Document, *, dry: bool = False) -> Document:
        """Answer a POST; `dry` says what would come of it."""
        where = place(path, body["metadata"]["name"])
        if where.key in self._list(where):
            raise Refusal(409, f"{where.name} already exists")
        return self._checked(where, None, _copy(body)) if dry else self._store(where, None, _copy(body))

    def apply(self, path: str, body: Document, *, manager: str, force: bool) -> Document:
        """Answer a server-side apply."""
        where = place(path)
        there = self._list(where).get(where.key)
        if there is None and where.subresource:
            raise Refusal(404, f"{where.name} not found")
        if there and body["metadata"].get("uid", there["metadata"]["uid"]) != there["metadata"]["uid"]:
            raise Refusal(409, "the uid differs")
        after = self._merged(where, there, body, manager=manager, force=force)
        if there is not None and _bare(after) == _bare(there):
            return _copy(there)
        return self._store(where, there, after)

    def delete(self, path: str, uid: str = "") -> Document:
        """Answer a DELETE, and collect what belonged to the object."""
        where = place(path)
        there = self._list(where).get(where.key)
        if there is None:
            raise Refusal(404, f"{where.name} not found")
        if uid and there["metadata"]["uid"] != uid:
            raise Refusal(409, "the uid differs")
        self._remove(where.path, where.key)
        if self.collecting:
            self.collect()
        return {"kind": "Status", "status": "Success"}

    def collect(self) -> None:
        """Delete what belongs to objects that do not exist any more, as the garbage collector does."""
        uids = {one["metadata"].get("uid") for objects in self.api.objects.values() for one in objects.values()}
        for path, objects in self.api.objects.items():
            for key, one in [*objects.items()]:
                owners = [owner["uid"] for owner in one["metadata"].get("ownerReferences", [])]
                if owners and not uids & {*owners}:
                    self._remove(path, key)

    def _remove(self, path: str, key: str) -> None:
        self._owned.pop((path, key), None)
        self.made += 1
        self.api.remove(path, key)

    def _list(self, where: Place) -> dict[str, Document]:
        if where.path not in self.api.objects:
            raise Refusal(404, "the server could not find the requested resource")
        return self.api.objects[where.path]

    def _merged(self, where: Place, there: Document | None, body: Document, *, manager: str, force: bool) -> Document:
        """Return an object with the fields of a manager set to those that it applies, and without its former ones."""
        kept = {"status"} if where.subresource else {*body} - {"status", "apiVersion", "kind"}
        applied = _keyed({key: value for key, value in body.items() if key in kept})
        after = _keyed(_copy(there or {}))
        owners = self._owned.setdefault((where.path, where.key), {})
        mine, leaves = owners.get((manager, where.subresource), set()), dict(_leaves(applied))
        for leaf, value in leaves.items():
            if not force and leaf not in mine and _at(after, leaf) not in {None, json.dumps(value)}:
                raise Refusal(409, f"conflict: {'.'.join(leaf)} has another manager")
        others = set[Leaf]().union(*(found for who, found in owners.items() if who != (manager, where.subresource)))
        for leaf in mine - {*leaves} - others:
            _drop(after, leaf)
        for leaf, value in leaves.items():
            _set(after, leaf, value)
        owners[manager, where.subresource] = {*leaves}
        after.setdefault("metadata", {})["managedFields"] = [
            {"manager": who, "operation": "Apply", "subresource": part, "fieldsV1": _fields(found)}
            for (who, part), found in sorted(owners.items())
            if found
        ]
        return {"apiVersion": body["apiVersion"], "kind": body["kind"]} | dict(_unkeyed(after))

    def _checked(self, where: Place, there: Document | None, after: Document) -> Document:
        """Return an object as it is kept; raise Refusal where it is not."""
        metadata = after["metadata"]
        metadata["name"] = where.name
        if where.namespace:
            metadata["namespace"] = where.namespace
        self._admit(where, there)
        if validate := _VALIDATED.get(where.path.rpartition("/")[2]):
            validate(self, there, after)
        return after

    def _store(self, where: Place, there: Document | None, after: Document) -> Document:
        metadata = self._checked(where, there, after)["metadata"]
        if there is None:
            metadata |= {"uid": f"uid-{self.api.version + 1}", "creationTimestamp": CREATED, "generation": 1}
        elif there.get("spec") != after.get("spec"):
            metadata["generation"] = there["metadata"].get("generation", 1) + 1
        self.made += 1
        self.api.put(where.path, after)
        return _copy(after)

    def _admit(self, where: Place, there: Document | None) -> None:
        if not where.namespace:
            return
        namespace = self.api.objects["/api/v1/namespaces"].get(where.namespace)
        if namespace is None:
            raise Refusal(404, f'namespaces "{where.namespace}" not found')
        if there is None and "deletionTimestamp" in namespace["metadata"]:
            raise Refusal(403, f"namespace {where.namespace} is being terminated")
        if there is None and where.namespace in self.full:
            raise Refusal(403, f"exceeded quota: {where.path.rpartition('/')[2]}")

    def _service(self, there: Document | None, after: Document) -> None:
        """Allocate clusterIPs, and refuse what cannot be changed."""
        spec = after["spec"]
        if spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName":
            return
        dual = spec.get("ipFamilyPolicy") == "PreferDualStack"
        if (value := spec.get("trafficDistribution")) in self.unsupported:
            raise Refusal(422, f'spec.trafficDistribution: Unsupported value: "{value}"')
        families = spec.setdefault("ipFamilies", self.families if dual else self.families[:1])
        before = there["spec"] if there else {"ipFamilies": [], "clusterIPs": []}
        had = dict(zip(before["ipFamilies"], before["clusterIPs"], strict=True))
        if unknown := {*families} - {*self.families}:
            raise Refusal(422, f"spec.ipFamilies: {unknown.pop()} is not configured on this cluster")
        asked, range_ = spec.get("clusterIP"), ip_network(self.ranges[families[0]])
        if not there and asked and ip_address(asked) not in range_:
            named = f"the provided IP ({asked}) is not in the valid range. The range of valid IPs is {range_}"
            raise Refusal(422, f"failed to allocate IP {asked}: {named if self.names_ranges else 'no ServiceCIDR'}")
        if there and before["ipFamilies"][:1] != families[:1]:
            raise Refusal(422, "spec.ipFamilies[0]: field is immutable")
        spec["clusterIPs"] = [had.get(family) or self._allocated(family) for family in families]
        spec["clusterIP"] = spec["clusterIPs"][0]

    def _allocated(self, family: str) -> str:
        taken = {
            ip for one in self.api.objects["/api/v1/services"].values() for ip in one["spec"].get("clusterIPs", [])
        }
        first = ip_network(self.ranges[family]).network_address
        return next(str(first + n) for n in range(1, 1 << 16) if str(first + n) not in taken)

    def _slice(self, there: Document | None, after: Document) -> None:
        if there and there["addressType"] != after["addressType"]:
            raise Refusal(422, "addressType: field is immutable")
        if len(after["endpoints"]) > 1000:
            raise Refusal(422, "endpoints: must have at most 1000 items")


_VALIDATED = {_SERVICES: Writes._service, _SLICES: Writes._slice}


def _copy(document: Document) -> Document:
    copied: Document = json.loads(json.dumps(document))
    return copied


def _bare(document: Document) -> Document:
    """Return what counts as a change."""
    metadata = {
        key: one for key, one in document["metadata"].items() if key not in {"managedFields", "resourceVersion"}
    }
    return document | {"metadata": metadata}


def _keyed(value: Any) -> Any:  # noqa: ANN401 -- JSON
    """Write lists whose entries have a key as objects with that key."""
    if not isinstance(value, dict):
        return value
    return {
        name: {entry[_KEYED[name]]: entry for entry in one} if name in _KEYED and isinstance(one, list) else _keyed(one)
        for name, one in value.items()
    }


def _unkeyed(value: Any) -> Any:  # noqa: ANN401 -- JSON
    if not isinstance(value, dict):
        return value
    return {name: [*one.values()] if name in _KEYED else _unkeyed(one) for name, one in value.items()}


def _leaves(value: Any, path: Leaf = ()) -> Iterator[tuple[Leaf, Any]]:  # noqa: ANN401 -- JSON
    if isinstance(value, dict) and value and path[-2:-1] not in [(name,) for name in _KEYED]:
        for name, one in value.items():
            yield from _leaves(one, (*path, name))
    elif path not in {(), ("metadata",), ("metadata", "name"), ("metadata", "namespace"), ("metadata", "uid")}:
        yield path, value


def _at(document: Document, leaf: Leaf) -> str | None:
    found: Any = document
    for part in leaf:
        found = found.get(part) if isinstance(found, dict) else None
    return None if found is None else json.dumps(found)


def _set(document: Document, leaf: Leaf, value: object) -> None:
    *path, last = leaf
    for part in path:
        document = document.setdefault(part, {})
    document[last] = value


def _drop(document: Document, leaf: Leaf) -> None:
    *path, last = leaf
    for part in path:
        document = document.get(part, {})
    document.pop(last, None)


def _field_of(part: str, parent: str) -> str:
    return f"k:{json.dumps({_KEYED[parent]: part})}" if parent in _KEYED else f"f:{part}"


def _fields(leaves: set[Leaf]) -> Document:
    fields: Document = {}
    for leaf in sorted(leaves):
        parts = zip(leaf, ("", *leaf), strict=False)
        _set(fields, tuple(_field_of(part, parent) for part, parent in parts), {})
    return fields
