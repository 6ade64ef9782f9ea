"""What the writer writes, as a real API server keeps it, by the token of the program's account."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Generic, TypeVar

import pytest

from kind import __main__ as kind
from lab.control_plane import ControlPlane
from lab.programs import ProgramFailed
from lab.waiting import wait_until
from slash80.cluster.api import Api
from slash80.cluster.cache import key_of
from slash80.cluster.objects.conditions import Condition
from slash80.cluster.objects.endpointslice import WrittenSlice, written_slices
from slash80.cluster.objects.reading import Resource
from slash80.cluster.objects.serviceexport import service_exports
from slash80.cluster.objects.serviceimport import service_imports
from slash80.cluster.objects.servicespec import service_specs
from slash80.clusterset.differences import Record, Wanted
from slash80.clusterset.documents import MANAGER, Members, derived, properties
from slash80.clusterset.observed import Asked, Observed, of_service
from slash80.clusterset.records import Import, Name
from slash80.clusterset.writer import Writer
from unit.clusterset.clusters import NOW, endpoints, imported

MANIFESTS, OWN = kind.ROOT / "manifests", "slash80-system"
T = TypeVar("T", bound=Record)
BOTH = {"eu": endpoints("2001:db8:1::a", "10.1.0.1", hostname="db-0", zone="a", zone_hints=("a",))}
BOTH["us"] = endpoints("2001:db8:2::a", "10.2.0.1", node="worker")
_TURNS = 200
_NUMBERS = itertools.count()


class Listed(Generic[T]):
    """What an informer has been sent, by a list."""

    def __init__(self, api: Api, resource: Resource[T]) -> None:
        self._api, self._resource = api, resource
        self._found: dict[str, T] = {}

    def refresh(self) -> None:
        """List again."""
        query = {"labelSelector": self._resource.labels} if self._resource.labels else {}
        read = {key_of(one): self._resource.read(one) for one in self._api.items(self._resource.path, **query)}
        self._found = {key: one for key, one in read.items() if one is not None}

    def get(self, key: str) -> T | None:
        """Return an object."""
        return self._found.get(key)

    @property
    def objects(self) -> list[T]:
        """All of them."""
        return [*self._found.values()]

    def indexed(self, index: str, value: tuple[str, str]) -> list[T]:
        """Return slices by the name of their Service."""
        return [one for one in self.objects if isinstance(one, WrittenSlice) and value in of_service(one)]


class Time:
    """A clock that moves as far as the writer waits."""

    seconds = 0.0

    def now(self) -> float:
        """Return seconds."""
        return self.seconds

    def today(self) -> str:
        """Return the time of day."""
        return NOW


class Site:
    """A namespace, and writers that start one after the other."""

    def __init__(self, control_plane: ControlPlane, token: str, namespace: str) -> None:
        self.control_plane, self.name = control_plane, Name(namespace, "web")
        self._api, self._time = control_plane.api(token), Time()
        self.start()

    def start(self) -> None:
        """Start a writer, which knows nothing of the one before it."""
        self.kinds = (
            Listed(self._api, service_imports("v1beta1", MANAGER)),
            Listed(self._api, service_specs(MANAGER)),
            Listed(self._api, written_slices(MANAGER)),
            Listed(self._api, service_exports("v1beta1", MANAGER)),
        )
        self.properties = Asked(self._api, "v1beta1")
        self.view = Observed(*self.kinds[:3], exports=self.kinds[3], properties=self.properties)
        self.writer = Writer(self._api, self.view, self._time)

    def want(self, *imports: Import, conditions: Iterable[Condition] = (), member: bool = False) -> int:
        """Have a new writer bring it about, and return how much it wrote and how much the next one had to write."""
        self.start()
        wanted = {one.name: Wanted(one) for one in imports}
        if conditions:
            wanted[self.name] = Wanted(wanted.get(self.name, Wanted()).imported, tuple(conditions))
        self.control_plane.run(partial(self._settle, wanted, member=member))
        assert not self.writer.problems, self.writer.problems
        self.start()
        self.control_plane.run(partial(self._settle, wanted, member=member))
        return self.writer.written

    def get(self, kind: str, name: str = "web") -> dict[str, Any]:
        """Return an object."""
        return self.control_plane.get(kind, name, "-n", self.name.namespace)

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind."""
        items: list[dict[str, Any]] = self.control_plane.get(kind, "-n", self.name.namespace)["items"]
        return items

    def _settle(self, wanted: dict[Name, Wanted], *, member: bool) -> None:
        for turn in range(_TURNS):
            for one in (*self.kinds, self.properties):
                one.refresh()
            if not turn:
                self.writer.want(wanted, Members("us"), properties("us", "shop") if member else ())
            self.writer.changed({self.name})
            rest = self.writer.write()
            if not self.writer.pending and rest > 1:
                return
            self._time.seconds += rest
        raise AssertionError(f"it never ends: {self.writer.problems}")


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Provide an API server with the manifests."""
    with ControlPlane(kind.CLUSTER_TOOLS, tmp_path_factory.mktemp("control-plane")) as found:
        found.kubectl("create", "-f", MANIFESTS / "base/namespace.yaml")
        found.kubectl("create", "-k", MANIFESTS / "mcs-crds")
        found.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
        found.kubectl("apply", "-k", MANIFESTS / "clusterset")
        yield found


@pytest.fixture
def site(control_plane: ControlPlane) -> Site:
    """Provide a namespace for the test."""
    namespace = f"site-{next(_NUMBERS)}"
    control_plane.kubectl("create", "namespace", namespace)
    site = Site(control_plane, control_plane.token(OWN, "slash80-clusterset"), namespace)
    wait_until(partial(_served, site))
    return site


def _served(site: Site) -> bool:
    """Report whether the new kinds can be listed, which they can some moments after they were created."""
    try:
        site.control_plane.kubectl("get", "serviceimports,serviceexports,clusterproperties")
    except ProgramFailed:
        return False
    return True


def test_what_is_written_is_not_written_again(site: Site) -> None:
    """The fields that we own, as the API server notes them, are exactly what we would apply, in every kind."""
    wanted = imported(
        BOTH,
        families=(6, 4),
        name=site.name,
        session_affinity="ClientIP",
        affinity_seconds=60,
        traffic_distribution="PreferClose",
        labels=(("team", "shop"),),
        annotations=(("note", "x"),),
    )
    again = site.want(wanted)
    service, found = site.get("service", derived(site.name)), site.get("serviceimport")

    assert 0 == again
    assert found["spec"]["ips"] == service["spec"]["clusterIPs"]
    assert 2 == len(found["spec"]["ips"])
    assert "True" == found["status"]["conditions"][0]["status"]
    assert 4 == len(site.listed("endpointslices"))


def test_families_and_headlessness_come_and_go(site: Site) -> None:
    """Each change is one that the API server takes, and the address of a family that stays is the same."""
    addresses = []
    for families in ((4,), (4, 6), (4,), (6,), (6, 4)):
        assert 0 == site.want(imported(BOTH, families=families, name=site.name))
        addresses.append(site.get("serviceimport")["spec"]["ips"])
    assert addresses[0] == addresses[1][:1] == addresses[2]
    assert addresses[3] == addresses[4][:1]

    assert 0 == site.want(imported(BOTH, headless=True, name=site.name))
    assert not site.listed("services")
    assert "ips" not in site.get("serviceimport")["spec"]
    assert 0 == site.want(imported(BOTH, name=site.name))


def test_what_is_not_wanted_any_more_is_deleted(site: Site) -> None:
    """Nothing is left of it, though no garbage collector runs here."""
    site.want(imported(BOTH, name=site.name))
    site.want()

    assert [] == [one for kind in ("serviceimports", "services", "endpointslices") for one in site.listed(kind)]


def test_conditions_of_an_export_are_written_beside_those_of_others(site: Site) -> None:
    """They are a status of the user's object, of which nothing else changes."""
    path = f"/apis/multicluster.x-k8s.io/v1beta1/namespaces/{site.name.namespace}/serviceexports"
    body = {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "metadata": {"name": "web"}}
    site.control_plane.run(lambda: site.control_plane.admin.create(path, body))
    conflict = Condition("Conflict", "True", "PortConflict,TypeConflict", "Ports. Types.", 1, NOW)

    assert 0 == site.want(conditions=[conflict])
    assert [conflict.document()] == site.get("serviceexport")["status"]["conditions"]
    assert 0 == site.want(imported(BOTH, name=site.name), conditions=[conflict])


def test_a_member_says_who_it_is(site: Site) -> None:
    """By ClusterProperties, which it deletes when it is not a member any more."""
    assert 0 == site.want(member=True)
    assert "us" == site.control_plane.get("clusterproperty", "cluster.clusterset.k8s.io")["spec"]["value"]
    assert 0 == site.want()
    assert [] == site.control_plane.get("clusterproperties")["items"]
