"""What is to be of each Service, from what all clusters export."""

from dataclasses import replace
from ipaddress import ip_address

from slash80.cluster.objects.endpointslice import Endpoint
from slash80.cluster.objects.ports import Port
from slash80.cluster.objects.serviceexport import ServiceExport
from slash80.clusterset.exporter import Exported, Verdict
from slash80.clusterset.records import Export, Name, Slice
from slash80.clusterset.wanted import Here, wanted

WEB, API = Name("shop", "web"), Name("shop", "api")
HTTP = Port("http", "TCP", 80)
READY = Verdict("Valid", "Ready", "Other clusters can use it.")
NOW = "2026-11-28T12:00:00Z"
EU = Here("eu", (6,), frozenset({"shop"}))


def export(name: Name, address: str, created: int = 1) -> Export:
    """Return an export with one endpoint."""
    endpoints = (Endpoint(ip_address(address)),)
    return Export(name, created, (6,), (HTTP,), slices=(Slice(6, (Port("http", "TCP", 8080),), endpoints),))


def found(name: Name) -> ServiceExport:
    """Return this cluster's ServiceExport of a name."""
    return ServiceExport(name.namespace, name.name, "1", 1)


OURS = Exported({WEB: export(WEB, "2001:db8:1::1")}, {WEB: READY})
THEIRS = {"us": {WEB: export(WEB, "2001:db8:2::1", 2), API: export(API, "2001:db8:2::2")}}


def test_a_service_of_two_clusters_has_the_endpoints_of_both() -> None:
    """This cluster's own are imported as well: the clusterset IP leads to all of them."""
    merged, result = wanted(THEIRS, OURS, EU, serviceexport=found, now=NOW)

    assert {WEB, API} == {*merged.imports} == {*result}
    web = result[WEB].imported
    assert web
    assert ("eu", "us") == web.clusters


def test_an_own_export_gets_its_conditions() -> None:
    """Ready and Conflict are for those who exported it; an import of others has none."""
    _, result = wanted(THEIRS, OURS, EU, serviceexport=found, now=NOW)

    assert {"Valid": "True", "Ready": "True", "Conflict": "False"} == {
        one.type: one.status for one in result[WEB].conditions
    }
    assert () == result[API].conditions


def test_a_conflict_of_the_merge_is_a_condition() -> None:
    """Both exporters compute it from the same exports, each for its own."""
    other = replace(THEIRS["us"][WEB], ports=(Port("http", "TCP", 81),))
    _, result = wanted({"us": {WEB: other}}, OURS, EU, serviceexport=found, now=NOW)
    (conflict,) = (one for one in result[WEB].conditions if one.type == "Conflict")

    assert ("True", "PortConflict") == (conflict.status, conflict.reason)


def test_nothing_is_imported_into_a_namespace_that_is_gone() -> None:
    """What was admitted while it was there is left out as soon as it is not."""
    merged, result = wanted(THEIRS, Exported({}, {}), replace(EU, namespaces=()), serviceexport=found, now=NOW)

    assert {} == merged.imports
    assert {} == result


def test_a_cluster_that_is_no_member_imports_nothing_of_its_own() -> None:
    """Its exports only get their conditions, which say why they are not ready."""
    pending = Verdict("Valid", "Pending", "This cluster is not a member.")
    _, result = wanted({}, Exported({}, {WEB: pending}), replace(EU, id=""), serviceexport=found, now=NOW)

    assert result[WEB].imported is None
    assert "This cluster is not a member." in {one.message for one in result[WEB].conditions}


def test_an_export_that_was_deleted_meanwhile_has_no_conditions() -> None:
    """The verdict may be older than the list of what is there."""
    _, result = wanted({}, OURS, EU, serviceexport=lambda _: None, now=NOW)

    assert () == result[WEB].conditions
