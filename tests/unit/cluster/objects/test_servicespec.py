"""Services with all that other clusters must know, ServiceImports, and ClusterProperties."""

import pytest

from slash80.cluster.objects.clusterproperty import ClusterProperty, cluster_properties, read_cluster_property
from slash80.cluster.objects.ports import Port
from slash80.cluster.objects.reading import Unreadable
from slash80.cluster.objects.serviceimport import read_service_import, service_imports
from slash80.cluster.objects.servicespec import MANAGED_BY, SERVICE_NAME, read_service_spec, service_specs

NAMED = {"namespace": "shop", "name": "web", "uid": "u"}
PORT = {"name": "http", "protocol": "TCP", "port": 80, "appProtocol": "kubernetes.io/h2c", "targetPort": 8080}


def test_a_service_is_read_with_all_its_policies() -> None:
    """Type, families, addresses, ports with the application's protocol, affinity, and traffic policies are kept."""
    spec = {
        "type": "LoadBalancer",
        "clusterIPs": ["fd00::1", "10.0.0.1"],
        "ipFamilies": ["IPv6", "IPv4"],
        "ports": [PORT],
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        "internalTrafficPolicy": "Local",
        "trafficDistribution": "PreferClose",
    }
    found = read_service_spec({"metadata": NAMED, "spec": spec}, "us")

    assert ("LoadBalancer", (6, 4), ("fd00::1", "10.0.0.1")) == (found.type, found.families, found.cluster_ips)
    assert (Port("http", "TCP", 80, "kubernetes.io/h2c"),) == found.ports
    assert ("ClientIP", 60) == (found.session_affinity, found.affinity_seconds)
    assert ("Local", "PreferClose", False) == (
        found.internal_traffic_policy,
        found.traffic_distribution,
        found.headless,
    )


def test_what_a_service_leaves_out_is_the_apis_default() -> None:
    """A Service without these fields is of type ClusterIP, has no affinity, and sends to all of the cluster."""
    found = read_service_spec({"metadata": NAMED, "spec": {"clusterIP": "None"}}, "us")

    assert ("ClusterIP", "None", None, "Cluster", "", True) == (
        found.type,
        found.session_affinity,
        found.affinity_seconds,
        found.internal_traffic_policy,
        found.traffic_distribution,
        found.headless,
    )


def test_a_service_says_of_which_imported_one_it_stands_for() -> None:
    """The label counts on a Service of the manager only: any user may write it on one of their own."""
    labels = {MANAGED_BY: "us", SERVICE_NAME: "web"}
    theirs = read_service_spec({"metadata": {**NAMED, "labels": labels | {MANAGED_BY: "them"}}}, "us")

    assert "web" == read_service_spec({"metadata": {**NAMED, "labels": labels}}, "us").imported
    assert ("", "them") == (theirs.imported, theirs.managed_by)
    assert "/api/v1/services" == service_specs("us").path


def test_an_import_is_read_with_its_status() -> None:
    """Type, families, addresses, ports, clusters, and who else has written it are kept."""
    found = read_service_import(
        {
            "metadata": {**NAMED, "generation": 2, "managedFields": [{"manager": "other"}, {"manager": "us"}]},
            "spec": {"type": "Headless", "ipFamilies": ["IPv6"], "ips": [], "ports": [PORT]},
            "status": {"clusters": [{"cluster": "eu"}, {"cluster": "us"}]},
        },
        "us",
    )

    assert ("Headless", (6,), (), ("eu", "us")) == (found.type, found.families, found.ips, found.clusters)
    assert ((80,), ("other",), 2) == (tuple(port.port for port in found.ports), found.managers, found.generation)
    assert "/apis/multicluster.x-k8s.io/v1beta1/serviceimports" == service_imports("v1beta1", "us").path


def test_a_property_is_read_with_who_manages_it() -> None:
    """A property of another program is told from one of ours by its label."""
    metadata = {"name": "clusterset.k8s.io", "uid": "u", "labels": {MANAGED_BY: "us"}}

    assert ClusterProperty("clusterset.k8s.io", "u", "us") == read_cluster_property({"metadata": metadata}, "us")
    assert "/apis/about.k8s.io/v1beta1/clusterproperties" == cluster_properties("v1beta1", "us").path
    with pytest.raises(Unreadable, match="name is missing"):
        read_cluster_property({"metadata": {}}, "us")
