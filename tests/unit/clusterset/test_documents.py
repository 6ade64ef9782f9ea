"""The API's objects that an imported Service comes to."""

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.cluster.objects.ports import Port
from slash80.cluster.objects.serviceimport import ServiceImport
from slash80.cluster.objects.servicespec import ServiceSpec
from slash80.clusterset.documents import MANAGER, Desired, Found, Members, derived, documents, properties
from slash80.clusterset.merge import merge
from slash80.clusterset.records import Export, Import, ImportedSlice, Name, Slice
from unit.clusterset.clusters import NOW, WEB, endpoints, imported
from unit.clusterset.exports import any_export

THERE = ServiceImport("shop", "web", "import-uid", managed_by=MANAGER)
SERVICE = ServiceSpec("shop", derived(WEB), "s", families=(6,), cluster_ips=("fd00:10:96::1",), managed_by=MANAGER)
ONE = {"eu": endpoints("2001:db8:1::a")}


def written(wanted: Import, found: Found | None = None, members: Members | None = None) -> dict[str, list[Desired]]:
    """Return the documents by kind."""
    result: dict[str, list[Desired]] = {}
    for one in documents(wanted, found or Found(THERE, SERVICE), members or Members("us"), now=NOW):
        assert one.body
        result.setdefault(one.body["kind"], []).append(one)
    return result


def spec_of(wanted: Import, found: Found | None = None) -> dict[str, Any]:
    """Return the spec of the ServiceImport."""
    (one,) = written(wanted, found)["ServiceImport"]
    assert one.body
    return dict(one.body["spec"])


def ready(wanted: Import, found: Found | None = None) -> tuple[str, str, str]:
    """Return status, reason and message of the import's condition."""
    (one,) = written(wanted, found)["ServiceImport"]
    assert one.status
    (condition,) = one.status["status"]["conditions"]
    return condition["status"], condition["reason"], condition["message"]


def ends(wanted: Import, members: Members) -> dict[str, tuple[Any, ...]]:
    """Return ready, serving and terminating by address."""
    slices = [one.body for one in written(wanted, members=members).get("EndpointSlice", [])]
    found = [end for one in slices if one for end in one["endpoints"]]
    return {end["addresses"][0]: tuple(end["conditions"].values()) for end in found}


def test_the_import_comes_first_and_owns_the_rest() -> None:
    """Service and slices are deleted with it by the garbage collector, so they are not written before it has a uid."""
    assert ["ServiceImport"] == [*written(imported(ONE), Found())]
    owned = written(imported(ONE))
    for kind in ("Service", "EndpointSlice"):
        (one,) = owned[kind]
        assert one.body
        (owner,) = one.body["metadata"]["ownerReferences"]
        assert ("ServiceImport", "web", "import-uid") == (owner["kind"], owner["name"], owner["uid"])


def test_the_derived_service_has_the_name_that_the_reference_controller_gives() -> None:
    """Gateways and people find it by that name, and by the annotation of the import."""
    hashed = base64.b32hexencode(hashlib.sha256(b"shop/web").digest()).decode().lower()
    (one,) = written(imported(ONE))["ServiceImport"]
    assert one.body

    assert f"derived-{hashed[:10]}" == derived(WEB)
    assert {"multicluster.kubernetes.io/derived-service": derived(WEB)} == one.body["metadata"]["annotations"]


def test_the_derived_service_is_one_that_the_admission_policy_lets_pass() -> None:
    """Type ClusterIP, our label, no selector, no external address: it cannot redirect anything else."""
    (one,) = written(
        imported(ONE, session_affinity="ClientIP", affinity_seconds=60, traffic_distribution="PreferClose")
    )["Service"]
    assert one.body

    assert MANAGER == one.body["metadata"]["labels"]["app.kubernetes.io/managed-by"]
    assert {
        "type": "ClusterIP",
        "ports": [{"name": "http", "protocol": "TCP", "port": 80}],
        "ipFamilies": ["IPv6"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
        "trafficDistribution": "PreferClose",
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
    } == one.body["spec"]


def test_the_address_of_the_derived_service_is_the_clusterset_ip() -> None:
    """CoreDNS answers with it, so the import is not ready before it is known."""
    assert ["fd00:10:96::1"] == spec_of(imported(ONE))["ips"]
    assert ("True", "Ready", "The Service can be used.") == ready(imported(ONE))
    assert "ips" not in spec_of(imported(ONE), Found(THERE))
    assert ("False", "Pending") == ready(imported(ONE), Found(THERE))[:2]


def test_the_addresses_stand_in_the_order_of_the_families() -> None:
    """The first family of a Service cannot be changed, so the import follows the Service that is there."""
    both = replace(SERVICE, families=(4, 6), cluster_ips=("10.96.0.1", "fd00:10:96::1"))
    spec = spec_of(imported(ONE, families=(6, 4)), Found(THERE, both))
    (service,) = written(imported(ONE, families=(6, 4)), Found(THERE, both))["Service"]
    assert service.body

    assert (["IPv4", "IPv6"], ["10.96.0.1", "fd00:10:96::1"]) == (spec["ipFamilies"], spec["ips"])
    assert (["IPv4", "IPv6"], "RequireDualStack") == (
        service.body["spec"]["ipFamilies"],
        service.body["spec"]["ipFamilyPolicy"],
    )


def test_a_headless_import_has_no_address_and_no_service() -> None:
    """It is asked for by DNS alone, and kube-proxy must not see its slices."""
    found = written(imported(ONE, headless=True), Found(THERE))
    (slice_,) = found["EndpointSlice"]
    assert slice_.body

    assert "Service" not in found
    assert "Headless" == spec_of(imported(ONE, headless=True))["type"]
    assert "ips" not in spec_of(imported(ONE, headless=True))
    assert "kubernetes.io/service-name" not in slice_.body["metadata"]["labels"]
    assert "True" == ready(imported(ONE, headless=True), Found(THERE))[0]


def test_a_service_of_families_that_are_not_here_is_imported_but_not_ready() -> None:
    """The condition has the reason of the API; there is neither a Service nor a slice for it."""
    found = written(imported(ONE, families=()))

    assert {"ServiceImport"} == found.keys()
    assert ("False", "IPFamilyNotSupported") == ready(imported(ONE, families=()))[:2]


def test_a_slice_has_the_labels_of_the_api() -> None:
    """They say of which Service and cluster it is, who manages it, and to kube-proxy which Service it serves."""
    (one,) = written(imported(ONE))["EndpointSlice"]
    assert one.body

    assert {
        "multicluster.kubernetes.io/service-name": "web",
        "multicluster.kubernetes.io/source-cluster": "eu",
        "endpointslice.kubernetes.io/managed-by": "clusterset.slash80.io",
        "kubernetes.io/service-name": derived(WEB),
    } == one.body["metadata"]["labels"]


def test_each_slice_is_of_one_cluster_and_of_one_family() -> None:
    """A cluster that has endpoints of both families has a slice for each."""
    both = endpoints("2001:db8:1::a", "10.1.0.1")
    bodies = [
        one.body for one in written(imported({"eu": both, "us": both}, families=(6, 4)))["EndpointSlice"] if one.body
    ]
    labels = [one["metadata"]["labels"]["multicluster.kubernetes.io/source-cluster"] for one in bodies]

    assert {("eu", "IPv6"), ("eu", "IPv4"), ("us", "IPv6"), ("us", "IPv4")} == {
        (cluster, one["addressType"]) for cluster, one in zip(labels, bodies, strict=True)
    }


def test_no_two_services_and_clusters_have_a_slice_of_one_name() -> None:
    """A member could otherwise have another one's endpoints overwritten, by a Service that begins with its name."""
    web, other = (
        documents(
            replace(imported({cluster: endpoints("2001:db8:1::a")}), name=Name("shop", name)),
            Found(replace(THERE, name=name)),
            Members("us"),
            now=NOW,
        )
        for name, cluster in (("web", "prod-eu"), ("web-prod", "eu"))
    )
    paths = [{one.path for one in found if "/endpointslices/" in one.path} for found in (web, other)]

    assert [1, 1] == [*map(len, paths)]
    assert paths[0] != paths[1]


def test_the_node_of_an_endpoint_is_named_in_its_own_cluster_only() -> None:
    """kube-proxy takes an endpoint for local by that name alone, and another cluster may have a node of that name."""
    ours, theirs = endpoints("2001:db8:2::a", node="worker"), endpoints("2001:db8:1::a", node="worker")
    nodes = {
        end["addresses"][0]: end.get("nodeName")
        for one in written(imported({"us": ours, "eu": theirs}))["EndpointSlice"]
        for end in (one.body or {})["endpoints"]
    }

    assert {"2001:db8:2::a": "worker", "2001:db8:1::a": None} == nodes


def test_an_endpoint_keeps_its_hostname_zone_and_hints() -> None:
    """A StatefulSet's pod is asked for by its hostname, and topology is used only if every endpoint has a hint."""
    (one,) = written(imported({"eu": endpoints("2001:db8:1::a", hostname="db-0", zone="a", zone_hints=("a", "b"))}))[
        "EndpointSlice"
    ]
    assert one.body
    (end,) = one.body["endpoints"]

    assert ("db-0", "a", {"forZones": [{"name": "a"}, {"name": "b"}]}) == (end["hostname"], end["zone"], end["hints"])


def test_the_endpoints_of_a_silent_member_are_the_last_resort() -> None:
    """They are not ready, but serve while they terminate, which kube-proxy uses when nothing is ready (KEP-1669)."""
    wanted = imported({"eu": (*endpoints("2001:db8:1::a"), *endpoints("2001:db8:1::b", ready=False, serving=False))})
    members = Members("us", silent=frozenset({"eu"}))

    assert {"2001:db8:1::a": (False, True, True), "2001:db8:1::b": (False, False, True)} == ends(wanted, members)


def test_the_headless_endpoints_of_a_silent_member_stay_ready() -> None:
    """CoreDNS answers with ready endpoints only, and has no last resort."""
    members = Members("us", silent=frozenset({"eu"}))

    assert {"2001:db8:1::a": (True, True, False)} == ends(imported(ONE, headless=True), members)


def test_endpoints_of_other_clusters_are_the_last_resort_where_the_export_asks_for_it() -> None:
    """It does so by an annotation, and counts only in clusters that have endpoints of their own."""
    both = ONE | {"us": endpoints("2001:db8:2::a")}
    asked = imported(both, annotations=(("slash80.io/affinity", "local"),))

    assert {"2001:db8:1::a": (False, True, True), "2001:db8:2::a": (True, True, False)} == ends(asked, Members("us"))
    assert {"2001:db8:1::a": (True, True, False), "2001:db8:2::a": (True, True, False)} == ends(asked, Members("ap"))


def test_exported_labels_and_annotations_stand_on_the_import() -> None:
    """Those that say who manages it cannot be replaced by them."""
    labels = (("app.kubernetes.io/managed-by", "helm"), ("team", "shop"))
    (one,) = written(imported(ONE, labels=labels, annotations=(("note", "x"),)))["ServiceImport"]
    assert one.body

    assert {"app.kubernetes.io/managed-by": MANAGER, "team": "shop"} == one.body["metadata"]["labels"]
    assert "x" == one.body["metadata"]["annotations"]["note"]


def test_several_ports_all_have_names() -> None:
    """Kubernetes takes one port without a name if it is the only one, and the union of two clusters' may have more."""
    ports = Port("", "TCP", 80), Port("tcp-80", "TCP", 81)
    slices = tuple(
        ImportedSlice("eu", Slice(6, (Port(name, "TCP", 8080),), endpoints("2001:db8:1::a"))) for name in ("", "tcp-80")
    )
    found = written(replace(imported(ONE, ports=ports), slices=slices))
    (service,) = found["Service"]
    assert service.body

    assert ["tcp-80-2", "tcp-80"] == [one["name"] for one in service.body["spec"]["ports"]]
    assert {"tcp-80-2", "tcp-80"} == {
        port["name"] for one in found["EndpointSlice"] for port in (one.body or {})["ports"]
    }


def test_no_exporter_makes_a_name_of_a_port_too_long() -> None:
    """The API server would refuse the Service of all, if one exporter had taken every name that another's may get."""
    taken = [f"tcp-80{'-x' * number}" for number in range(29)] + [f"tcp-80-{number}" for number in range(2, 60)]
    ports = Port("", "TCP", 80), *(Port(name, "TCP", 1000 + number) for number, name in enumerate(taken))
    (service,) = written(imported(ONE, ports=ports))["Service"]
    assert service.body
    names = [one["name"] for one in service.body["spec"]["ports"]]

    assert "tcp-80-60" == names[0]
    assert len(names) == len({*names})
    assert max(map(len, names)) <= 63


@pytest.mark.parametrize("gone", [True, False])
def test_a_port_without_a_name_is_served_while_another_exporter_is_away(*, gone: bool) -> None:
    """It has got a name beside the other one's, which kube-proxy and CoreDNS find it by in the slices as well."""
    ports = Port("tcp-80", "TCP", 80), Port("metrics", "TCP", 9090)
    there = replace(THERE, type="ClusterSetIP", families=(6,), ports=ports, clusters=("ap", "eu"))
    away = frozenset({"ap"})
    members = Members("us", gone=away) if gone else Members("us", unheard=away)
    slices = (ImportedSlice("eu", Slice(6, (Port("", "TCP", 8080),), endpoints("2001:db8:1::a"))),)
    wanted = replace(imported(ONE, ports=(Port("", "TCP", 80),)), slices=slices)
    found = written(wanted, Found(there, SERVICE), members)
    (service,), (slice_,) = found["Service"], found["EndpointSlice"]
    assert service.body
    assert slice_.body

    assert ["tcp-80", "metrics"] == [one["name"] for one in service.body["spec"]["ports"]]
    assert [{"name": "tcp-80", "protocol": "TCP", "port": 8080}] == slice_.body["ports"]


@given(any_export(WEB), any_export(WEB), any_export(WEB), st.booleans())
def test_what_is_sent_to_a_port_reaches_those_who_export_it(eu: Export, us: Export, ap: Export, away: bool) -> None:  # noqa: FBT001 -- drawn
    """Each port of a slice is what its cluster exports, whatever the import was, and while an exporter is away."""
    exports = {"eu": eu, "us": us}
    before = merge({cluster: {WEB: one} for cluster, one in ({"ap": ap} | exports).items()}, families=(6, 4)).imports[
        WEB
    ]
    former = _read_back(documents(before, Found(), Members("eu"), now=NOW)[0], "ap", "eu", "us")
    now = merge({cluster: {WEB: one} for cluster, one in exports.items()}, families=(6, 4)).imports[WEB]
    found = written(now, Found(former), Members("eu", unheard=frozenset({"ap"} if away else ())))
    (spec,) = [(one.body or {})["spec"] for one in found["ServiceImport"]]
    exposed = {port.get("name", ""): (port["protocol"], port["port"]) for port in spec["ports"]}

    assert len(exposed) == len(spec["ports"]) == len({*exposed.values()})
    assert len(exposed) < 2 or "" not in exposed
    for body in [one.body or {} for one in found.get("EndpointSlice", [])]:
        export = exports[body["metadata"]["labels"]["multicluster.kubernetes.io/source-cluster"]]
        for port in body["ports"]:
            number = port["protocol"], port["port"] - 1000  # the pods' ports of drawn exports
            assert exposed[port["name"]] == number
            assert number in {(one.protocol, one.port) for one in export.ports}


def _read_back(one: Desired, *clusters: str) -> ServiceImport:
    """Return the ServiceImport that was written."""
    assert one.body
    spec = one.body["spec"]
    return replace(
        THERE,
        type=spec["type"],
        families=tuple({"IPv4": 4, "IPv6": 6}[family] for family in spec["ipFamilies"]),
        ports=tuple(Port(port.get("name", ""), port["protocol"], port["port"]) for port in spec["ports"]),
        clusters=clusters,
    )


def test_what_an_exporter_has_brought_stays_while_it_has_not_answered() -> None:
    """After a restart of the controller ports would close, and the address be given up, until all have answered."""
    there = replace(
        THERE, type="ClusterSetIP", families=(4,), ports=(Port("http", "TCP", 8080),), clusters=("eu", "ap")
    )
    members = Members("us", unheard=frozenset({"eu"}))
    ports = Port("http", "TCP", 80), Port("metrics", "TCP", 9090)
    wanted = imported({"us": endpoints("2001:db8:2::a")}, headless=True, ports=ports)
    (one,) = written(wanted, Found(there), members)["ServiceImport"]
    assert one.body
    assert one.status

    assert ["IPv4", "IPv6"] == one.body["spec"]["ipFamilies"]
    assert [("http", 8080), ("metrics", 9090)] == [(port["name"], port["port"]) for port in one.body["spec"]["ports"]]
    assert "ClusterSetIP" == one.body["spec"]["type"]
    assert [{"cluster": "eu"}, {"cluster": "us"}] == one.status["status"]["clusters"]


def test_the_status_names_the_exporters_and_that_there_are_slices() -> None:
    """Both are what the API asks for; Gateways read the latter to decide what they use."""
    (one,) = written(imported(ONE | {"us": ()}))["ServiceImport"]
    assert one.status

    assert [{"cluster": "eu"}, {"cluster": "us"}] == one.status["status"]["clusters"]
    assert "Present" == one.status["status"]["endpointSliceObjects"]


@given(st.sets(st.integers(1, 400), min_size=1), st.integers(1, 400))
def test_the_change_of_one_endpoint_rewrites_one_slice_or_divides_it(numbers: set[int], one: int) -> None:
    """Names and places follow from the endpoints alone, so nothing else moves."""
    before, after = (
        {
            found.path: found.body
            for found in written(imported({"eu": endpoints(*(f"2001:db8::{number:x}" for number in some))}))[
                "EndpointSlice"
            ]
        }
        for some in (numbers, numbers ^ {one} or {one})
    )
    assert len([path for path in before.keys() & after.keys() if before[path] != after[path]]) <= 1


@pytest.mark.parametrize("version", ["v1beta1", "v1alpha1"])
def test_a_member_says_who_it_is(version: str) -> None:
    """Both properties of KEP-2149 are there while it is a member."""
    found = properties("eu", "shop", version)

    assert {"cluster.clusterset.k8s.io": "eu", "clusterset.k8s.io": "shop"} == {
        one.body["metadata"]["name"]: one.body["spec"]["value"] for one in found if one.body
    }
    assert all(f"/about.k8s.io/{version}/" in one.path for one in found)


def test_the_paths_have_the_version_that_is_served() -> None:
    """An API server with older definitions serves v1alpha1 only."""
    first, *_ = documents(imported(ONE, name=Name("a", "b")), Found(), Members(), now=NOW, version="v1alpha1")

    assert "/apis/multicluster.x-k8s.io/v1alpha1/namespaces/a/serviceimports/b" == first.path
