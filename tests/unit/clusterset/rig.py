"""A cluster whose API server, watches and clock are the test's, and a writer that can be killed at any write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from lab.kube import Document, FakeApi, namespace, selected
from lab.kube_writes import Refusal
from slash80.cluster.api import Refused, Unreachable
from slash80.cluster.objects.clusterproperty import cluster_properties
from slash80.cluster.objects.endpointslice import WrittenSlice, written_slices
from slash80.cluster.objects.reading import Resource
from slash80.cluster.objects.serviceexport import service_exports
from slash80.cluster.objects.serviceimport import service_imports
from slash80.cluster.objects.servicespec import service_specs
from slash80.clusterset.differences import Record, Wanted
from slash80.clusterset.documents import MANAGER, Desired, Members
from slash80.clusterset.observed import Observed, of_service
from slash80.clusterset.records import Import, Name
from slash80.clusterset.writer import Writer

T = TypeVar("T", bound=Record)
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
IMPORTS = "/apis/multicluster.x-k8s.io/v1beta1/serviceimports"
EXPORTS = "/apis/multicluster.x-k8s.io/v1beta1/serviceexports"
PROPERTIES = "/apis/about.k8s.io/v1beta1/clusterproperties"
SERVICES, NAMESPACES = "/api/v1/services", "/api/v1/namespaces"
_TURNS, _TURN = 2000, 0.2  # at most, and seconds of one


class Killed(BaseException):
    """The process is not any more."""


class Shown(Generic[T]):
    """What an informer has been sent so far: the objects as they were when it was refreshed."""

    def __init__(self, api: FakeApi, resource: Resource[T]) -> None:
        self._api, self._resource, self._found = api, resource, dict[str, tuple[str, T]]()
        self._query = {"labelSelector": resource.labels}
        self.refresh()

    def refresh(self) -> list[T]:
        """Learn of all that happened, and return the objects that have changed, as they were and as they are."""
        before, self._found = self._found, {}
        for key, one in self._api.objects[self._resource.path].items():
            version = one["metadata"]["resourceVersion"]
            former = before.get(key)
            if former and former[0] == version:
                self._found[key] = former
            elif selected(one, self._query) and (record := self._resource.read(one)) is not None:
                self._found[key] = version, record
        changed = {key for key in before.keys() | self._found.keys() if before.get(key) != self._found.get(key)}
        return [of[key][1] for key in changed for of in (before, self._found) if key in of]

    def get(self, key: str) -> T | None:
        """Return an object."""
        found = self._found.get(key)
        return found[1] if found else None

    @property
    def objects(self) -> list[T]:
        """All of them."""
        return [record for _, record in self._found.values()]

    def indexed(self, index: str, value: tuple[str, str]) -> list[T]:
        """Return slices by the name of their Service."""
        return [one for one in self.objects if isinstance(one, WrittenSlice) and value in of_service(one)]


class Direct:
    """The API client without HTTP, which kills its process at a write, or finds the server away."""

    def __init__(self, api: FakeApi) -> None:
        self._api = api
        self.lives, self.before, self.away = -1, True, False
        self.sent: list[str] = []

    def get(self, path: str) -> Document:
        """Return an object as Api does."""
        found = self._api.one(path)
        if found is None:
            raise Refused(404, "not found")
        return found

    def apply(self, path: str, body: Document, *, manager: str, force: bool) -> Document:
        """Apply as Api does."""
        return self._write("PATCH", path, {"fieldManager": manager, "force": str(force).lower()}, body=body)

    def delete(self, path: str, *, uid: str) -> None:
        """Delete as Api does."""
        try:
            self._write("DELETE", path, {}, body={"preconditions": {"uid": uid}})
        except Refused as refused:
            if refused.status != 404:
                raise

    def _write(self, method: str, path: str, query: dict[str, str], *, body: Document) -> Document:
        if self.away:
            raise Unreachable("the server is away")
        self.lives -= 1
        if self.lives == 0 and self.before:
            raise Killed
        self.sent.append(f"{method} {path}")
        try:
            answer = self._api.write(method, path, query, body)
        except Refusal as refusal:
            raise Refused(refusal.status, refusal.message) from refusal
        if self.lives == 0:
            raise Killed
        return answer


class Time:
    """A clock that moves when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        """Return seconds."""
        return self.seconds

    def today(self) -> str:
        """Return the time of day."""
        return f"2026-11-28T12:{int(self.seconds) // 60 % 60:02}:00Z"


class Rig:
    """All of it."""

    def __init__(self) -> None:
        self.server, self.time = FakeApi(page=1 << 30), Time()
        self.server.objects |= {path: {} for path in (SLICES, IMPORTS, EXPORTS, SERVICES, PROPERTIES)}
        for name in ("shop", "far"):
            self.server.put(NAMESPACES, namespace(name))
        self.api = Direct(self.server)
        self.start()

    def start(self) -> None:
        """Start the writer's process again; nothing of before is known."""
        kinds: tuple[Shown[Any], ...] = (
            Shown(self.server, service_imports("v1beta1", MANAGER)),
            Shown(self.server, service_specs(MANAGER)),
            Shown(self.server, written_slices(MANAGER)),
            Shown(self.server, service_exports("v1beta1", MANAGER)),
            Shown(self.server, cluster_properties("v1beta1", MANAGER)),
        )
        self.kinds, self.view = kinds, Observed(*kinds[:3], exports=kinds[3], properties=kinds[4])
        self.writer = Writer(self.api, self.view, self.time)

    def want(
        self,
        *imports: Import,
        members: Members | None = None,
        properties: Iterable[Desired] = (),
        **conditions: Any,  # noqa: ANN401 -- by Service
    ) -> None:
        """Want these and no others."""
        wanted = {one.name: Wanted(one) for one in imports}
        for service, found in conditions.items():
            name = Name("shop", service)
            wanted[name] = Wanted(wanted.get(name, Wanted()).imported, found)
        self.writer.want(wanted, members or Members("us"), properties)

    def refresh(self) -> None:
        """Have the watches show all that happened."""
        records = [record for one in self.kinds for record in one.refresh()]
        self.writer.changed({name for name in map(self.view.name_of, records) if name is not None})

    def settle(self, seconds: float = 1e9) -> None:
        """Let the writer do all that it has to do within a time, with watches that are up to date after each turn."""
        until = self.time.seconds + seconds
        for _ in range(_TURNS):
            rest = self.writer.write()
            self.refresh()
            if rest == float("inf"):
                rest = self.writer.write()
            if self.time.seconds + rest > until:
                return
            self.time.seconds += max(rest, _TURN if rest else 0)
        raise AssertionError("it never ends")

    def objects(self, path: str) -> dict[str, Document]:
        """Return the objects of a kind."""
        return self.server.objects[path]

    @property
    def everything(self) -> dict[str, dict[str, Document]]:
        """All objects but namespaces, without what differs from one run to the next."""
        return {
            path: {key: _bare(one) for key, one in self.objects(path).items()} for path in (SLICES, IMPORTS, SERVICES)
        }


def _bare(document: Document) -> Document:
    return {key: one for key, one in document.items() if key not in {"metadata", "status"}} | {
        "labels": document["metadata"]["labels"]
    }
