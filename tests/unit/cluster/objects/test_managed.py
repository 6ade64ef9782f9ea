"""What one manager has applied to an object and still owns, as a digest."""

from typing import Any

import pytest

from lab.kube import Document, FakeApi, namespace
from slash80.cluster.objects.managed import NOTHING, applied, digest, other_managers
from slash80.cluster.objects.reading import Unreadable

PATH = "/api/v1/namespaces/shop/services/web"


def service(**spec: Any) -> Document:  # noqa: ANN401 -- JSON
    """Return a Service as it is applied."""
    identity = {"apiVersion": "v1", "kind": "Service"}
    return {**identity, "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "b"}}, "spec": spec}


@pytest.fixture
def server() -> FakeApi:
    """Return an API server with a namespace and a list of Services."""
    fake = FakeApi()
    fake.objects["/api/v1/services"] = {}
    fake.put("/api/v1/namespaces", namespace("shop"))
    return fake


def test_an_object_is_as_it_was_applied(server: FakeApi) -> None:
    """What the server added, and what another manager has set, does not count."""
    wanted = service(type="ClusterIP", ports=[{"port": 80}])
    server.writes.apply(PATH, wanted, manager="us", force=True)
    there = server.writes.apply(PATH, service(externalName="x"), manager="them", force=True)

    assert there["spec"]["clusterIPs"]
    assert digest(wanted) == applied(there, "us")
    assert ("them",) == other_managers(there, "us")


@pytest.mark.parametrize(
    "spec", [{"type": "ClusterIP"}, {"type": "ClusterIP", "ports": [{"port": 81}]}, {"type": "NodePort"}]
)
def test_another_value_is_another_digest(server: FakeApi, spec: dict[str, Any]) -> None:
    """A field that is missing, one that has another value, and one that is too much are seen."""
    there = server.writes.apply(PATH, service(type="ClusterIP", ports=[{"port": 80}]), manager="us", force=True)

    assert digest(service(**spec)) != applied(there, "us")


def test_a_field_that_another_manager_took_over_is_not_as_it_was_applied() -> None:
    """Who forces another value owns the field from then on, so the former owner sees that it has lost it."""
    there = service(type="NodePort", ports=[{"port": 80}])
    there["metadata"]["managedFields"] = [
        {
            "manager": "us",
            "operation": "Apply",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:ports": {}}},
        }
    ]

    assert digest(service(type="ClusterIP", ports=[{"port": 80}])) != applied(there, "us")
    assert digest(service(ports=[{"port": 80}])) == applied(there, "us")


def test_entries_of_lists_are_owned_one_by_one() -> None:
    """Of the ports of a Service, which are found by number and protocol, only the own fields of the own ports count."""
    there = service(ports=[{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}])
    owned: Document = {".": {}, "f:port": {}, "f:protocol": {}}
    fields: tuple[Document, Document] = (
        {"f:labels": {"f:a": {}}},
        {"f:ports": {'k:{"port":80,"protocol":"TCP"}': owned}},
    )
    there["metadata"]["managedFields"] = [
        {"manager": "us", "operation": "Apply", "fieldsV1": {"f:metadata": fields[0], "f:spec": fields[1]}}
    ]

    assert digest(service(ports=[{"port": 80, "protocol": "TCP"}])) == applied(there, "us")


def test_entries_that_are_plain_values_are_owned_one_by_one() -> None:
    """Of a set, such as finalizers are one, only the values count that the manager has added."""
    fields: Document = {"f:finalizers": {'v:"ours"': {}}}
    there = {
        "metadata": {
            "finalizers": ["theirs", "ours"],
            "managedFields": [{"manager": "us", "operation": "Apply", "fieldsV1": {"f:metadata": fields}}],
        }
    }

    assert digest({"metadata": {"finalizers": ["ours"]}}) == applied(there, "us")


def test_the_order_of_objects_in_a_list_and_what_is_empty_do_not_count() -> None:
    """A server may order the ports of a Service in its way, and leave out what is empty."""
    one, other = {"port": 80}, {"port": 81}

    assert digest(service(ports=[one, other], ips=[])) == digest(service(ports=[other, one]))
    assert digest(service(ipFamilies=["IPv4", "IPv6"])) != digest(service(ipFamilies=["IPv6", "IPv4"]))


def test_a_manager_that_has_applied_nothing_owns_nothing() -> None:
    """An object without managed fields, and one that was changed by updates only, was not applied."""
    updated = {"manager": "us", "operation": "Update", "fieldsV1": {"f:spec": {}}}

    assert NOTHING == applied({"metadata": {}}, "us")
    assert NOTHING == applied({"metadata": {"managedFields": [updated]}}, "us")


def test_fields_that_are_nested_without_end_are_refused() -> None:
    """A proxy could send anything, and deep nesting must not exhaust the stack."""
    value: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for _ in range(100):
        value, fields = {"a": value}, {"f:a": fields}
    there = value | {"metadata": {"managedFields": [{"manager": "us", "operation": "Apply", "fieldsV1": fields}]}}

    with pytest.raises(Unreadable, match="nested too deep"):
        applied(there, "us")
