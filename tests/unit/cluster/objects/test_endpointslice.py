"""EndpointSlices of this cluster's Services, and of imported ones."""

from ipaddress import ip_address
from typing import Any

import pytest

from slash80.cluster.objects.endpointslice import (
    MANAGED_BY,
    SOURCE,
    Endpoint,
    endpoint_slices,
    read_endpoint_slice,
    read_written_slice,
    written_slices,
)
from slash80.cluster.objects.ports import Port
from slash80.cluster.objects.service import SERVICE_NAME
from slash80.cluster.objects.servicespec import SERVICE_NAME as IMPORTED

PORTS = [{"name": "http", "protocol": "TCP", "port": 8080, "appProtocol": "http"}, {"name": "any"}]


def document(*endpoints: dict[str, Any], kind: str = "IPv6", **labels: str) -> dict[str, Any]:
    """Return a slice of Service shop/web."""
    metadata = {"namespace": "shop", "name": "web-1", "uid": "u", "labels": {SERVICE_NAME: "web"} | labels}
    return {"metadata": metadata, "addressType": kind, "ports": PORTS, "endpoints": [*endpoints]}


def test_an_endpoint_is_read_with_all_that_is_exported() -> None:
    """Conditions, hostname, zone, hints and node are kept, and the first address of several."""
    one = {
        "addresses": ["2001:db8::1", "2001:db8::2"],
        "conditions": {"ready": False, "serving": True, "terminating": True},
        "hostname": "db-0",
        "zone": "a",
        "hints": {"forZones": [{"name": "a"}, {"name": "b"}]},
        "nodeName": "worker",
    }
    found = read_endpoint_slice(document(one))
    assert found

    kept = Endpoint(
        ip_address("2001:db8::1"),
        ready=False,
        terminating=True,
        hostname="db-0",
        zone="a",
        zone_hints=("a", "b"),
        node="worker",
    )
    assert (kept,) == found.endpoints
    assert ("shop", "web", 6) == (found.namespace, found.service, found.family)
    assert (Port("http", "TCP", 8080, "http"),) == found.ports


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, (True, True, False)),
        ({"ready": False}, (False, False, False)),
        ({"ready": True}, (True, True, False)),
        ({"ready": False, "serving": True}, (False, True, False)),
        ({"ready": None, "serving": None, "terminating": None}, (True, True, False)),
    ],
)
def test_conditions_that_are_left_out_have_a_meaning(conditions: dict[str, Any], expected: tuple[bool, ...]) -> None:
    """Unknown readiness is ready, and an endpoint that says nothing of serving serves as long as it is ready."""
    found = read_endpoint_slice(document({"addresses": ["2001:db8::1"], "conditions": conditions}))
    assert found
    (one,) = found.endpoints

    assert expected == (one.ready, one.serving, one.terminating)


@pytest.mark.parametrize("addresses", [[], ["not one"], ["10.0.0.1"]])
def test_an_endpoint_without_an_address_of_the_family_is_left_out(addresses: list[str]) -> None:
    """Neither an empty list, nor a text, nor an address of the other family becomes an endpoint."""
    found = read_endpoint_slice(document({"addresses": addresses}, {"addresses": ["2001:db8::1"]}))
    assert found

    assert [ip_address("2001:db8::1")] == [one.address for one in found.endpoints]


@pytest.mark.parametrize("change", [{"kind": "FQDN"}, {SERVICE_NAME: ""}])
def test_slices_of_names_and_of_no_service_are_nothing(change: dict[str, str]) -> None:
    """Neither is an endpoint of a Service that another cluster could reach."""
    assert read_endpoint_slice(document({"addresses": ["2001:db8::1"]}, **change)) is None


def test_a_slice_that_another_program_has_imported_is_named_after_it() -> None:
    """It has the labels of the Multi-Cluster Services API, and says who manages it."""
    found = read_endpoint_slice(document(**{SERVICE_NAME: "", IMPORTED: "web", MANAGED_BY: "lighthouse"}))
    assert found

    assert "lighthouse" == found.importer


def test_a_written_slice_is_known_by_its_labels_and_its_digest() -> None:
    """The endpoints themselves are not kept: there may be a hundred thousand."""
    found = read_written_slice(document(**{IMPORTED: "web", SOURCE: "eu", MANAGED_BY: "us"}), "us")

    assert ("shop", "web", "eu", b"") == (found.namespace, found.service, found.cluster, found.applied)


def test_own_and_written_slices_are_watched_apart() -> None:
    """The API server selects by the label of the manager, so no slice comes twice."""
    assert f"{MANAGED_BY}!=us" == endpoint_slices("us").labels
    assert f"{MANAGED_BY}=us" == written_slices("us").labels
    assert endpoint_slices("us").path == written_slices("us").path
