"""What a cluster exports, and what becomes of each ServiceExport."""

import datetime as dt
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from slash80.cluster.objects.conditions import Condition
from slash80.cluster.objects.endpointslice import Endpoint, EndpointSlice
from slash80.cluster.objects.ports import Port
from slash80.cluster.objects.servicespec import MANAGED_BY
from slash80.clusterset import volume
from slash80.clusterset.documents import MANAGER
from slash80.clusterset.exporter import Exported, Exporter, Verdict, conditions
from slash80.clusterset.records import Conflict, Name, Properties
from unit.clusterset.clusters import NOW, TCP, UDP, WEB, Cluster, Entry, endpoints, entry, service

EU = entry("eu", "2001:db8:1::/56")
DUAL = entry("eu", "2001:db8:1::/56", "10.1.0.0/16")
ADDRESS = "2001:db8:1::a"


def exporting(*addresses: str, member: Entry | None = EU, **more: Any) -> Cluster:  # noqa: ANN401 -- what a test gives
    """Return a cluster that exports Service shop/web with pods of these addresses."""
    cluster = Cluster(member)
    cluster.export(service(**more), *addresses)
    return cluster


def verdict(cluster: Cluster) -> Verdict:
    """Return what the export of shop/web is told, which is not exported then."""
    found = cluster.exported()
    assert not found.exports
    return found.verdicts[WEB]


def bounded(cluster: Cluster, **bounds: int) -> Exported:
    """Return what is exported where others take so much of one cluster."""
    most = volume.MOST | bounds
    return Exporter(MANAGER).exported(
        cluster.exports.values(), cluster.services.get, cluster.slices.__getitem__, member=EU, most=most
    )


def test_a_service_is_exported_with_all_that_others_need() -> None:
    """Ports, policies, exported labels, the age of the export, and the endpoints with their nodes are in the record."""
    cluster = Cluster(EU)
    spec = service(TCP, UDP, session_affinity="ClientIP", affinity_seconds=60, traffic_distribution="PreferClose")
    cluster.export(spec, ADDRESS, created=7, labels=(("a", "b"),), annotations=(("c", "d"),))
    found = cluster.exported()
    export = found.exports[WEB]

    assert Verdict("Valid", "Ready", "Other clusters can use it.") == found.verdicts[WEB]
    assert (7, (6,)) == (export.created, export.families)
    assert (Port("tcp", "TCP", 42), Port("udp", "UDP", 42)) == export.ports
    expected = Properties(False, "ClientIP", 60, "Cluster", "PreferClose", (("a", "b"),), (("c", "d"),))  # noqa: FBT003 -- headless
    assert expected == export.properties
    assert endpoints(ADDRESS, node="worker") == export.slices[0].endpoints


def test_an_export_counts_as_no_older_than_the_membership() -> None:
    """The others do not believe an earlier day, and all clusters must agree on which export is the oldest."""
    cluster = exporting(ADDRESS, member=replace(EU, since=dt.date(1970, 1, 2)))

    assert 86400 == cluster.exported().exports[WEB].created


def test_reserved_labels_are_not_exported_and_named() -> None:
    """The others refuse them, and on the objects of an imported Service they would mean something to other programs."""
    cluster = Cluster(EU)
    labels = (("app.kubernetes.io/managed-by", "helm"), ("team", "shop"))
    cluster.export(service(), ADDRESS, labels=labels, annotations=(("slash80.io/affinity", "local"),))
    found = cluster.exported()

    assert (("team", "shop"),) == found.exports[WEB].properties.labels
    assert (("slash80.io/affinity", "local"),) == found.exports[WEB].properties.annotations
    assert "The key app.kubernetes.io/managed-by is reserved" in found.verdicts[WEB].message


def test_an_export_without_a_service_waits_for_it() -> None:
    """A ServiceExport may be there before its Service; it names the Service that is missing."""
    cluster = exporting(ADDRESS)
    cluster.services.clear()

    expected = "There is no Service shop/web; create it, or delete this ServiceExport."
    assert Verdict("NoService", "Pending", expected) == verdict(cluster)


def test_an_external_name_cannot_be_exported() -> None:
    """It has no endpoints (KEP-1645, service types)."""
    found = verdict(exporting(type="ExternalName", families=()))

    assert ("InvalidServiceType", "Failed") == (found.valid, found.ready)


def test_an_imported_service_is_not_exported_again() -> None:
    """The Service that stands for an imported one would come back from every other cluster with more endpoints."""
    assert "InvalidServiceType" == verdict(exporting(ADDRESS, managed_by=MANAGER)).valid
    assert exporting(ADDRESS, managed_by=f"not {MANAGED_BY}").exported().exports


def test_a_cluster_that_is_not_a_member_exports_nothing() -> None:
    """The export is in order, but nothing is served to other clusters before this one is in the file."""
    found = verdict(exporting(ADDRESS, member=None))

    assert ("Valid", "Pending") == (found.valid, found.ready)
    assert "clusterset.yaml of ConfigMap slash80-system/slash80-clusterset has no entry" in found.message


@pytest.mark.parametrize(
    ("namespace", "words"),
    [("kube-system", "belongs to Kubernetes"), ("shop", "add it to `namespaces` of the entry eu in clusterset.yaml")],
)
def test_a_namespace_that_the_file_does_not_allow_is_not_exported(namespace: str, words: str) -> None:
    """Other clusters would refuse it, so the exporting side says where to change what."""
    name = Name(namespace, "web")
    cluster = Cluster(entry("eu", "2001:db8:1::/56", namespaces=("payments",)))
    cluster.export(service(name=name), ADDRESS)
    found = cluster.exported()

    assert not found.exports
    assert ("Valid", "Failed") == (found.verdicts[name].valid, found.verdicts[name].ready)
    assert words in found.verdicts[name].message


def test_a_service_with_ipv4_addresses_only_is_told_which_key_to_change() -> None:
    """Where IPv4 comes first, a Service that says nothing is such a one, so this is what most people meet first."""
    found = verdict(exporting("10.1.0.1", families=(4,)))

    expected = (
        "Service shop/web has IPv4 addresses only, which other clusters cannot reach; "
        "set `ipFamilyPolicy: PreferDualStack` in its spec."
    )
    assert Verdict("Valid", "Failed", expected) == found


def test_ipv4_is_exported_where_the_file_has_a_prefix_for_it() -> None:
    """IPv4 that is routed between the clusters is as good as IPv6."""
    found = exporting("10.1.0.1", families=(4,), member=DUAL).exported()

    assert [(4, endpoints("10.1.0.1", node="worker"))] == [
        (one.family, one.endpoints) for one in found.exports[WEB].slices
    ]


def test_ipv4_outside_of_the_files_prefixes_is_told_both_ways_out() -> None:
    """The Service can become dual-stack, or the prefix can be declared."""
    found = verdict(exporting("10.9.0.1", families=(4,), member=DUAL))

    assert "Failed" == found.ready
    assert "such as 10.9.0.1" in found.message
    assert "PreferDualStack" in found.message


def test_of_a_dual_stack_service_the_family_without_a_prefix_is_left_out() -> None:
    """It is exported with the other family, and the condition says so."""
    found = exporting(ADDRESS, "10.1.0.1", families=(4, 6)).exported()

    assert (6,) == found.exports[WEB].families
    assert [6] == [one.family for one in found.exports[WEB].slices]
    assert found.verdicts[WEB].message.endswith(
        "Its IPv4 addresses are left out, since this cluster shares no IPv4 prefix."
    )


def test_endpoints_outside_of_the_own_prefixes_are_left_out_and_named() -> None:
    """Others would refuse them: a pod of the node's network has the node's address."""
    others = [f"2001:db8:9::{number}" for number in range(1, 6)]
    found = exporting(ADDRESS, *others).exported()

    assert endpoints(ADDRESS, node="worker") == found.exports[WEB].slices[0].endpoints
    assert "Left out are 2001:db8:9::1, 2001:db8:9::2, 2001:db8:9::3 and 2 more" in found.verdicts[WEB].message


def test_a_service_of_which_no_endpoint_can_be_reached_is_not_ready() -> None:
    """It would be imported without endpoints, and nothing would show why it does not answer."""
    found = verdict(exporting("2001:db8:9::1"))

    assert "Failed" == found.ready
    assert found.message.startswith("No endpoint of Service shop/web can be reached from other clusters: 2001:db8:9::1")


def test_a_service_without_endpoints_is_exported() -> None:
    """It is scaled to zero, and its address stays for when it is not."""
    found = exporting().exported()

    assert () == found.exports[WEB].slices
    assert "Ready" == found.verdicts[WEB].ready


def test_headless_services_are_exported_with_their_hostnames() -> None:
    """A pod of a StatefulSet can be asked for by its name in every cluster."""
    cluster = exporting(headless=True)
    one = Endpoint(endpoints(ADDRESS)[0].address, hostname="db-0")
    cluster.slices[WEB] = [EndpointSlice("shop", "web-1", "web", 6, (Port("tcp", "TCP", 42),), (one,))]
    export = cluster.exported().exports[WEB]

    assert export.properties.headless
    assert endpoints(ADDRESS, hostname="db-0") == export.slices[0].endpoints


def test_endpoints_of_different_ports_come_in_slices_of_their_own() -> None:
    """A named target port is another number in other pods."""
    cluster = exporting(ADDRESS, "2001:db8:1::b")
    first, *_ = cluster.slices[WEB]
    other = replace(first, ports=(Port("tcp", "TCP", 9090),), endpoints=first.endpoints[:1])
    cluster.slices[WEB] = [replace(first, endpoints=first.endpoints[1:]), other]

    assert {8080, 9090} == {one.ports[0].port for one in cluster.exported().exports[WEB].slices}


def test_slices_are_divided_as_importers_take_them() -> None:
    """Kubernetes can be set to a thousand endpoints a slice, of which other clusters refuse all above a hundred."""
    addresses = [f"2001:db8:1::{number:x}" for number in range(1, 251)]
    found = exporting(*addresses).exported().exports[WEB].slices

    assert 250 == sum(len(one.endpoints) for one in found)
    assert max(len(one.endpoints) for one in found) <= 100


def test_slices_that_another_controller_imported_are_not_exported() -> None:
    """They are other clusters' endpoints, which those export themselves."""
    cluster = exporting(ADDRESS)
    cluster.slices[WEB] = [replace(one, importer="lighthouse") for one in cluster.slices[WEB]]

    assert () == cluster.exported().exports[WEB].slices


def test_the_oldest_exports_count_when_there_are_too_many() -> None:
    """Other clusters take so many of one; which ones those are does not change with every new one."""
    cluster = Cluster(EU)
    names = [Name("shop", f"web-{number}") for number in range(3)]
    for age, name in enumerate(reversed(names)):
        cluster.export(service(name=name), ADDRESS, created=age)
    found = bounded(cluster, Services=2)

    assert {*names[1:]} == found.exports.keys()
    assert "Other clusters take 2 Services of one cluster" in found.verdicts[names[0]].message


@pytest.mark.parametrize("bounds", [{"Services": 3}, {"endpoints": 3}, {"EndpointSlices": 3}, {"bytes of text": 700}])
def test_no_namespace_takes_what_others_need(bounds: dict[str, int]) -> None:
    """Who may export from one namespace has made too many exports, before all others: each namespace has its turn."""
    cluster = Cluster(EU)
    names = [Name(namespace, f"web-{number}") for namespace in ("greedy", "shop", "pay") for number in range(3)]
    for age, name in enumerate(names):
        cluster.export(service(name=name), ADDRESS, created=age)
    found = bounded(cluster, **bounds)

    assert {Name(namespace, "web-0") for namespace in ("greedy", "shop", "pay")} == found.exports.keys()
    assert "delete some ServiceExports" in found.verdicts[Name("greedy", "web-1")].message


@pytest.mark.parametrize(("zone", "count"), [("", 10_001), ("", 20_001), ("z" * 60, 9_000)])
def test_one_service_is_not_the_whole_of_a_cluster(zone: str, count: int) -> None:
    """Who writes the slices of one Service could else have other clusters refuse all Services of this one."""
    cluster = exporting(ADDRESS)
    ports = (Port("http", "TCP", 8080),)
    base, hints = int(ip_address("2001:db8:1::")), (zone,) * 4 if zone else ()
    ends = tuple(Endpoint(ip_address(base + number), zone=zone, zone_hints=hints) for number in range(count))
    cluster.slices[WEB] = [EndpointSlice("shop", "web-x", "web", 6, ports, ends)]
    refused = verdict(cluster)
    cluster.slices[WEB] = [EndpointSlice("shop", "web-x", "web", 6, ports, ends[:1000])]

    assert ("Failed", True) == (refused.ready, "divide it into several Services" in refused.message)
    assert 1000 == sum(len(one.endpoints) for one in cluster.exported().exports[WEB].slices)


def test_an_export_that_is_being_deleted_is_none_any_more() -> None:
    """A finalizer may keep the object for long, but its owner does not want it any more."""
    cluster = exporting(ADDRESS)
    cluster.exports[WEB] = replace(cluster.exports[WEB], deleting=True)

    assert not cluster.exported().exports
    assert not cluster.exported().verdicts


def test_conditions_say_what_the_verdict_and_the_other_clusters_say() -> None:
    """All reasons of the conflicts are joined by commas, and the generation is the one that was judged."""
    (export,) = exporting(ADDRESS).exports.values()
    both = [Conflict("PortConflict", "Ports."), Conflict("TypeConflict", "Types."), Conflict("PortConflict", "More.")]
    found = conditions(export, Verdict("Valid", "Ready", "It is served."), both, now=NOW)

    assert (
        Condition("Valid", "True", "Valid", "The Service can be exported.", 1, NOW),
        Condition("Ready", "True", "Ready", "It is served.", 1, NOW),
        Condition("Conflict", "True", "PortConflict,TypeConflict", "Ports. Types. More.", 1, NOW),
    ) == found


def test_the_time_of_a_condition_moves_only_when_its_status_does() -> None:
    """A new reason or message of the same status keeps the time, as the API asks for."""
    (export,) = exporting(ADDRESS).exports.values()
    first = conditions(export, Verdict("Valid", "Pending", "Not yet."), (), now="before")
    export = replace(export, conditions=first)
    second = conditions(export, Verdict("Valid", "Failed", "Never."), (), now="later")
    third = conditions(replace(export, conditions=second), Verdict("Valid", "Ready", "Now."), (), now="last")

    assert ["before"] * 3 == [one.since for one in second]
    assert ["before", "last", "before"] == [one.since for one in third]
    assert "NoConflicts" == third[2].reason


@pytest.mark.parametrize(
    "more", [{"traffic_distribution": "Anywhere"}, {"ports": tuple(replace(TCP, port=one + 1) for one in range(200))}]
)
def test_what_other_clusters_would_refuse_is_not_exported(more: dict[str, Any]) -> None:
    """It would count in this cluster's merge and in no other one, and they would disagree on what wins."""
    cluster = Cluster(EU)
    cluster.export(replace(service(), **more), ADDRESS)

    assert verdict(cluster).message.startswith("Other clusters would refuse Service shop/web: ")


def test_of_a_dual_stack_service_that_is_all_outside_the_shared_family_is_named() -> None:
    """The way out is a prefix of IPv6, not one of private IPv4 addresses."""
    found = verdict(exporting("2001:db8:9::1", "10.1.0.1", families=(4, 6)))

    assert "2001:db8:9::1 is outside" in found.message
    assert "10.1.0.1" not in found.message


def test_only_what_has_changed_is_judged_again() -> None:
    """Exports that have not changed are the same objects, so that nothing behind them is done again either."""
    cluster, exporter = Cluster(EU), Exporter(MANAGER)
    names = [Name("shop", "one"), Name("shop", "two")]
    for name in names:
        cluster.export(service(name=name), ADDRESS)

    def again() -> Exported:
        return exporter.exported(cluster.exports.values(), cluster.services.get, cluster.slices.__getitem__, member=EU)

    first, second = again(), again()
    cluster.export(service(name=names[0]), ADDRESS, "2001:db8:1::b")
    third = again()

    assert first.exports is second.exports
    assert first.exports[names[1]] is third.exports[names[1]]
    assert first.exports[names[0]] != third.exports[names[0]]
