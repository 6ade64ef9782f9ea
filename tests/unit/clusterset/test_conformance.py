"""The 27 specs of the Multi-Cluster Services API's conformance suite, written from the text of KEP-1645.

Each test is one spec, in the words of the KEP, for IPv6-only and for dual-stack Services, in two clusters: from the
objects of their API servers to those that they would write. What a DNS server or kube-proxy makes of these is said by
what they go by: CoreDNS answers `spec.ips` for a ClusterSetIP and ready endpoints with ports for a headless Service,
kube-proxy sends a port's traffic to the endpoints of slices that have the port. One spec cannot hold, and says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import pytest

from lab.kube import Document
from slash80.cluster.objects.endpointslice import Endpoint, EndpointSlice
from slash80.cluster.objects.ports import Port
from slash80.cluster.objects.servicespec import ServiceSpec
from slash80.clusterset.differences import Wanted
from slash80.clusterset.documents import Members, derived
from slash80.clusterset.exporter import conditions
from slash80.clusterset.merge import merge
from unit.clusterset.clusters import NOW, TCP, UDP, WEB, Cluster, entry, service
from unit.clusterset.rig import EXPORTS, IMPORTS, SERVICES, SLICES, Rig

FIRST, SECOND = "2001:db8:1::a", "2001:db8:2::a"
FIRST4, SECOND4 = "10.1.0.1", "10.2.0.1"
OLD, NEW = 1, 2


@dataclass(frozen=True)
class Kind:
    """The families of the exported Services, and whether the file has IPv4 prefixes."""

    families: tuple[int, ...]
    ipv4: bool


KINDS = {"ipv6": Kind((6,), ipv4=False), "dual": Kind((6, 4), ipv4=False), "dual with IPv4": Kind((6, 4), ipv4=True)}


class Clusterset:
    """Two clusters with Service shop/web, each with an API server; the second one exports only if a spec says so."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        fourth = [("10.1.0.0/16",), ("10.2.0.0/16",)] if kind.ipv4 else [(), ()]
        self.one = Cluster(entry("one", "2001:db8:1::/56", *fourth[0]))
        self.two = Cluster(entry("two", "2001:db8:2::/56", *fourth[1]))
        self.rigs = {"one": Rig(), "two": Rig()}

    def service(self, *ports: Port, **more: Any) -> ServiceSpec:  # noqa: ANN401 -- what a spec gives
        """Return Service shop/web."""
        return service(*(ports or (TCP, UDP)), families=self.kind.families, **more)

    def export(self, *ports: Port, labels: Any = (), annotations: Any = (), **more: Any) -> None:  # noqa: ANN401 -- the same
        """Export it from the first cluster, which is the oldest one."""
        exported = {"created": OLD, "labels": labels, "annotations": annotations}
        self.one.export(self.service(*ports, **more), *self._pods(FIRST, FIRST4), **exported)

    def export_second(self, *ports: Port, labels: Any = (), annotations: Any = (), **more: Any) -> None:  # noqa: ANN401 -- the same
        """Export it from the second cluster."""
        exported = {"created": NEW, "labels": labels, "annotations": annotations}
        self.two.export(self.service(*ports, **more), *self._pods(SECOND, SECOND4), **exported)

    def _pods(self, *addresses: str) -> list[str]:
        return [one for one in addresses if ip_address(one).version in self.kind.families]

    def settle(self) -> None:
        """Exchange the exports, merge them in both clusters, and write."""
        found = {"one": self.one.exported(), "two": self.two.exported()}
        self.merged = merge({cluster: of.exports for cluster, of in found.items()}, families=self.kind.families)
        for cluster, rig in self.rigs.items():
            own = self.one if cluster == "one" else self.two
            judged = {
                name: conditions(own.exports[name], verdict, self.merged.conflicts.get(name, ()), now=NOW)
                for name, verdict in found[cluster].verdicts.items()
            }
            names = self.merged.imports.keys() | judged.keys()
            wanted = {name: Wanted(self.merged.imports.get(name), judged.get(name, ())) for name in names}
            self._have_exports(rig, own)
            rig.writer.want(wanted, Members(cluster))
            rig.settle()
            assert not rig.writer.problems

    def _have_exports(self, rig: Rig, own: Cluster) -> None:
        group, _, kind = EXPORTS.rpartition("/")
        for name, one in own.exports.items():
            if str(name) not in rig.objects(EXPORTS):
                body: Document = {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport"}
                body |= {"metadata": {"name": one.name, "uid": one.uid}}
                rig.server.writes.create(f"{group}/namespaces/{name.namespace}/{kind}", body)
        rig.refresh()

    def imports(self) -> Iterator[Document]:
        """Yield the ServiceImport of each cluster that has it."""
        for rig in self.rigs.values():
            if found := rig.objects(IMPORTS).get("shop/web"):
                yield found

    @property
    def spec(self) -> Document:
        """The spec of the first cluster's import."""
        spec: Document = next(self.imports())["spec"]
        return spec

    def condition(self, cluster: str, kind: str) -> tuple[str, str]:
        """Return status and reason of a condition of a cluster's ServiceExport."""
        (found,) = self.rigs[cluster].objects(EXPORTS).values()
        (one,) = [one for one in found["status"]["conditions"] if one["type"] == kind]
        return one["status"], one["reason"]

    def reached(self, cluster: str, port: int) -> set[str]:
        """Return the addresses to which kube-proxy sends what goes to a port of the clusterset IP in a cluster."""
        rig = self.rigs[cluster]
        found = rig.objects(SERVICES).get(f"shop/{derived(WEB)}")
        if not found:
            return set()
        names = {one["name"] for one in found["spec"]["ports"] if one["port"] == port}
        return {
            address
            for one in rig.objects(SLICES).values()
            if one["metadata"]["labels"].get("kubernetes.io/service-name") == derived(WEB)
            and names & {port["name"] for port in one["ports"]}
            for end in one["endpoints"]
            if end["conditions"]["ready"]
            for address in end["addresses"]
        }

    def answered(self, cluster: str) -> dict[str, tuple[str, list[int]]]:
        """Return hostname and ports by address, as CoreDNS answers for a headless Service."""
        return {
            end["addresses"][0]: (end.get("hostname", ""), sorted(port["port"] for port in one["ports"]))
            for one in self.rigs[cluster].objects(SLICES).values()
            if one["metadata"]["labels"]["multicluster.kubernetes.io/service-name"] == "web"
            for end in one["endpoints"]
            if end["conditions"]["ready"]
        }


@pytest.fixture(params=[*KINDS.values()], ids=[*KINDS])
def both(request: pytest.FixtureRequest) -> Clusterset:
    """Provide two clusters."""
    return Clusterset(request.param)


CONFLICT = ("True", "PortConflict")


def test_required_1_an_import_lives_as_long_as_a_cluster_exports(both: Clusterset) -> None:
    """A ServiceImport exists as long as at least one cluster exports the Service, and no longer."""
    both.export()
    both.export_second()
    both.settle()
    both.one.exports.clear()
    both.settle()
    assert 2 == len([*both.imports()])
    both.two.exports.clear()
    both.settle()

    assert [] == [*both.imports()]


def test_required_2_a_clusterip_service_is_imported_in_every_cluster(both: Clusterset) -> None:
    """Its import is of type ClusterSetIP, the export is valid, and both imports go when it is not exported any more."""
    both.export()
    both.settle()
    assert ("True", "Valid") == both.condition("one", "Valid")
    assert ["ClusterSetIP", "ClusterSetIP"] == [one["spec"]["type"] for one in both.imports()]
    both.one.exports.clear()
    both.settle()

    assert [] == [*both.imports()]


@pytest.mark.parametrize("affinity", [("None", None), ("ClientIP", 10)])
def test_required_3_session_affinity_is_that_of_the_service(both: Clusterset, affinity: tuple[str, int | None]) -> None:
    """The import has the affinity and its configuration, which is not there when there is no affinity."""
    both.export(session_affinity=affinity[0], affinity_seconds=affinity[1])
    both.settle()
    expected = {"clientIP": {"timeoutSeconds": 10}} if affinity[1] else None

    assert (affinity[0], expected) == (both.spec["sessionAffinity"], both.spec.get("sessionAffinityConfig"))


@pytest.mark.parametrize("policy", ["Cluster", "Local"])
def test_required_4_the_internal_traffic_policy_is_that_of_the_service(both: Clusterset, policy: str) -> None:
    """The import has the same policy."""
    both.export(internal_traffic_policy=policy)
    both.settle()

    assert policy == both.spec["internalTrafficPolicy"]


def test_required_5_the_traffic_distribution_is_that_of_the_service(both: Clusterset) -> None:
    """The import has the same one, and none where the Service has none."""
    both.export(traffic_distribution="PreferClose")
    both.settle()
    assert "PreferClose" == both.spec["trafficDistribution"]
    both.export()
    both.settle()

    assert "trafficDistribution" not in both.spec


def test_required_6_an_address_is_there_for_each_family(both: Clusterset) -> None:
    """The import has as many addresses as families, in the same order."""
    both.export()
    both.settle()
    families = {4: "IPv4", 6: "IPv6"}

    assert both.spec["ips"]
    assert both.spec["ipFamilies"] == [families[ip_address(one).version] for one in both.spec["ips"]]


def test_required_7_the_ports_are_those_of_the_service(both: Clusterset) -> None:
    """Name, protocol, application protocol and number are the same, without the target port."""
    both.export(TCP, UDP, Port("web", "TCP", 80, "kubernetes.io/h2c"))
    both.settle()

    assert [
        {"name": "tcp", "protocol": "TCP", "port": 42},
        {"name": "udp", "protocol": "UDP", "port": 42},
        {"name": "web", "protocol": "TCP", "port": 80, "appProtocol": "kubernetes.io/h2c"},
    ] == both.spec["ports"]


def test_required_8_different_ports_come_to_their_union_and_a_conflict(both: Clusterset) -> None:
    """All ports can be used, and both exports are told that they differ."""
    both.export(TCP, UDP)
    both.export_second(TCP, Port("stcp", "SCTP", 142))
    both.settle()

    assert CONFLICT == both.condition("one", "Conflict") == both.condition("two", "Conflict")
    assert {("tcp", 42), ("udp", 42), ("stcp", 142)} == {(one["name"], one["port"]) for one in both.spec["ports"]}


def test_required_9_of_conflicting_ports_those_of_the_oldest_export_count(both: Clusterset) -> None:
    """Two numbers under one name are a conflict on both exports, which the older one wins."""
    both.export(TCP, UDP)
    both.export_second(replace(TCP, port=43))
    both.settle()

    assert CONFLICT == both.condition("one", "Conflict") == both.condition("two", "Conflict")
    assert {("tcp", 42), ("udp", 42)} == {(one["name"], one["port"]) for one in both.spec["ports"]}


def test_required_10_a_headless_service_is_imported_in_every_cluster(both: Clusterset) -> None:
    """Its import is of type Headless, and goes when it is not exported any more."""
    both.export(headless=True)
    both.settle()
    assert ["Headless", "Headless"] == [one["spec"]["type"] for one in both.imports()]
    both.one.exports.clear()
    both.settle()

    assert [] == [*both.imports()]


def test_required_11_a_headless_import_has_no_address(both: Clusterset) -> None:
    """Neither the import nor a Service in its place gets one."""
    both.export(headless=True)
    both.settle()

    assert "ips" not in both.spec
    assert not both.rigs["one"].objects(SERVICES)


def test_required_12_an_external_name_is_not_exported(both: Clusterset) -> None:
    """The export is not valid, with the API's reason, and nothing is imported anywhere."""
    both.export(type="ExternalName")
    both.settle()

    assert ("False", "InvalidServiceType") == both.condition("one", "Valid")
    assert [] == [*both.imports()]


def test_required_13_of_headless_and_not_the_oldest_export_counts(both: Clusterset) -> None:
    """Both exports have the conflict, and the import has the older one's type."""
    both.export()
    both.export_second(headless=True)
    both.settle()

    assert ("True", "TypeConflict") == both.condition("one", "Conflict") == both.condition("two", "Conflict")
    assert ["ClusterSetIP", "ClusterSetIP"] == [one["spec"]["type"] for one in both.imports()]


def test_required_14_a_service_that_is_not_exported_is_not_reached(both: Clusterset) -> None:
    """There is no import, so its name in the clusterset's zone has no address."""
    both.export()
    both.one.exports.clear()
    both.settle()

    assert [] == [*both.imports()]
    assert set() == both.reached("two", 42)


def test_optional_1_exported_labels_and_annotations_are_those_of_the_import(both: Clusterset) -> None:
    """What the ServiceExport's spec has is there; what the Service and the export have themselves is not."""
    both.export(labels=(("dummy-label", "true"),), annotations=(("dummy-annotation", "true"),))
    both.settle()
    metadata = next(both.imports())["metadata"]

    assert {"dummy-label": "true", "app.kubernetes.io/managed-by": "clusterset.slash80.io"} == metadata["labels"]
    assert {"dummy-annotation", "multicluster.kubernetes.io/derived-service"} == metadata["annotations"].keys()


def test_optional_2_of_conflicting_labels_those_of_the_oldest_export_count(both: Clusterset) -> None:
    """Both exports have the conflicts, and the import has the older one's labels and annotations."""
    both.export(labels=(("label", "1"),), annotations=(("annotation", "1"),))
    both.export_second(labels=(("label2", "2"),), annotations=(("annotation2", "2"),))
    both.settle()
    metadata = next(both.imports())["metadata"]
    status, reasons = both.condition("one", "Conflict")

    assert ("True", {"LabelsConflict", "AnnotationsConflict"}) == (status, {*reasons.split(",")})
    assert (status, reasons) == both.condition("two", "Conflict")
    assert "1" == metadata["labels"]["label"] == metadata["annotations"]["annotation"]
    assert not {"label2", "annotation2"} & {*metadata["labels"], *metadata["annotations"]}


def test_optional_3_the_name_of_a_clusterip_service_leads_to_the_clusterset_ip(both: Clusterset) -> None:
    """CoreDNS answers with `spec.ips`, which are those of the Service that stands for it, in every cluster."""
    both.export()
    both.settle()

    for rig in both.rigs.values():
        found = rig.objects(SERVICES)[f"shop/{derived(WEB)}"]["spec"]["clusterIPs"]
        assert found == rig.objects(IMPORTS)["shop/web"]["spec"]["ips"]


def test_optional_4_a_clusterip_service_has_one_srv_record_for_a_port(both: Clusterset) -> None:
    """CoreDNS has one for each port of the import, and the port is the Service's, not the pods'."""
    both.export(TCP)
    both.settle()

    assert [42] == [one["port"] for one in both.spec["ports"]]


def test_optional_5_the_local_zone_is_as_it_was(both: Clusterset) -> None:
    """What is written has other names than the user's Service, whose own name in `cluster.local` stays its own."""
    both.export()
    both.settle()

    assert {f"shop/{derived(WEB)}"} == both.rigs["one"].objects(SERVICES).keys()
    assert all(
        "web" != one["metadata"]["labels"]["kubernetes.io/service-name"]
        for one in both.rigs["one"].objects(SLICES).values()
    )


def test_optional_6_the_name_of_a_headless_service_leads_to_all_ready_pods(both: Clusterset) -> None:
    """CoreDNS answers with the ready endpoints of the families that the import has, in every cluster."""
    both.export(headless=True)
    both.settle()
    families = {"IPv6": FIRST, "IPv4": FIRST4}

    for cluster in both.rigs:
        assert {families[family] for family in both.spec["ipFamilies"]} == both.answered(cluster).keys()


def test_optional_7_a_pod_of_a_statefulset_has_a_name_of_its_own(both: Clusterset) -> None:
    """The slice has the hostnames, and the label of the cluster that is a part of the name."""
    both.export(headless=True)
    ports = (Port("tcp", "TCP", 42),)
    pods = tuple(Endpoint(ip_address(f"2001:db8:1::{number + 1}"), hostname=f"hello-{number}") for number in range(2))
    both.one.slices[WEB] = [EndpointSlice("shop", "web-1", "web", 6, ports, pods)]
    both.settle()

    for cluster, rig in both.rigs.items():
        assert {"hello-0", "hello-1"} == {hostname for hostname, _ in both.answered(cluster).values()}
        (one,) = rig.objects(SLICES).values()
        assert "one" == one["metadata"]["labels"]["multicluster.kubernetes.io/source-cluster"]


def test_optional_8_a_headless_service_has_an_srv_record_for_each_endpoint(both: Clusterset) -> None:
    """One for each address of all families of the exported Service, with the pods' port.

    It cannot hold for a dual-stack Service whose cluster shares no IPv4 prefix: its private IPv4 addresses mean other
    pods, or nothing, in other clusters, so there is no record for them.
    """
    both.export(TCP, headless=True)
    both.settle()
    expected = {FIRST: ("", [8080])} | ({FIRST4: ("", [8080])} if 4 in both.kind.families else {})
    if both.kind == KINDS["dual"]:
        del expected[FIRST4]

    assert expected == both.answered("two")


def test_optional_9_an_exported_service_is_reached_from_every_cluster(both: Clusterset) -> None:
    """What goes to the clusterset IP reaches the exporter's pods, in its own cluster as well."""
    both.export()
    both.settle()

    assert FIRST in both.reached("one", 42)
    assert both.reached("one", 42) == both.reached("two", 42)


def test_optional_10_only_the_exporting_cluster_is_reached(both: Clusterset) -> None:
    """A Service of the same name that another cluster has, but does not export, gets nothing."""
    both.export()
    both.export_second()
    both.two.exports.clear()
    both.settle()

    for cluster in both.rigs:
        assert {FIRST} == {one for one in both.reached(cluster, 42) if ":" in one}


def test_optional_11_a_port_leads_only_to_clusters_that_have_its_number(both: Clusterset) -> None:
    """Of two numbers under one name the older one is there, and the younger export's pods get nothing for it."""
    both.export(TCP)
    both.export_second(replace(TCP, port=4242))
    both.settle()

    for cluster in both.rigs:
        assert {FIRST} == {one for one in both.reached(cluster, 42) if ":" in one}
        assert set() == both.reached(cluster, 4242)


def test_optional_12_each_port_leads_to_the_cluster_that_has_it(both: Clusterset) -> None:
    """Ports of different names are both there, and each leads to its own cluster."""
    both.export(TCP)
    both.export_second(Port("tcp2", "TCP", 4242))
    both.settle()

    for cluster in both.rigs:
        assert {FIRST} == {one for one in both.reached(cluster, 42) if ":" in one}
        assert {SECOND} == {one for one in both.reached(cluster, 4242) if ":" in one}


def test_optional_13_slices_have_the_labels_and_go_with_the_export(both: Clusterset) -> None:
    """Each family of the import has one in every cluster, which is not Kubernetes' own controller's."""
    both.export()
    both.settle()
    for rig in both.rigs.values():
        found = [*rig.objects(SLICES).values()]
        assert sorted(both.spec["ipFamilies"]) == sorted(one["addressType"] for one in found)
        for one in found:
            labels = one["metadata"]["labels"]
            assert ("web", "one") == tuple(
                labels[f"multicluster.kubernetes.io/{key}"] for key in ("service-name", "source-cluster")
            )
            assert "clusterset.slash80.io" == labels["endpointslice.kubernetes.io/managed-by"]
    both.one.exports.clear()
    both.settle()

    assert not any(rig.objects(SLICES) for rig in both.rigs.values())
