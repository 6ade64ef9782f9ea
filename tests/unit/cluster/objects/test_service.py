"""Services and EndpointSlices as the API sends them."""

from ipaddress import ip_address
from typing import Any

import pytest

from slash80.addressing.ports import TCP, UDP
from slash80.cluster.objects.reading import Unreadable
from slash80.cluster.objects.service import EndpointPort, Service, ServicePort, read_endpoint_slice, read_service

SERVICE: dict[str, Any] = {
    "metadata": {"namespace": "shop", "name": "web"},
    "spec": {
        "clusterIPs": ["fd00:10:96::7", "10.96.0.7"],
        "externalIPs": ["198.51.100.9"],
        "externalTrafficPolicy": "Local",
        "ports": [{"name": "http", "port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}],
    },
    "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}, {"hostname": "lb.example"}]}},
}


def test_a_service_has_addresses_and_ports() -> None:
    """ClusterIPs, the addresses of load balancers, ports with their NodePorts, and whether traffic stays local."""
    assert read_service(SERVICE) == Service(
        "shop",
        "web",
        (ip_address("fd00:10:96::7"), ip_address("10.96.0.7")),
        (ip_address("198.51.100.7"), ip_address("198.51.100.9")),
        (ServicePort("http", TCP, 80, 30080), ServicePort("", UDP, 53)),
        local=True,
    )


def test_a_headless_service_has_no_address() -> None:
    """`None` is what the API has in the place of a ClusterIP."""
    assert read_service(SERVICE | {"spec": {"clusterIP": "None"}}).cluster_ips == ()


@pytest.mark.parametrize("document", [{}, {"metadata": {"name": "x"}}, {"metadata": 7}])
def test_a_service_without_a_name_is_unreadable(document: dict[str, Any]) -> None:
    """It is not known which one it is."""
    with pytest.raises(Unreadable):
        read_service(document)


def test_a_slice_leads_to_endpoints_that_are_ready() -> None:
    """One without a condition is ready, as the API says; of several addresses kube-proxy uses the first."""
    endpoints = [
        {"addresses": ["10.80.1.5", "10.80.1.6"], "nodeName": "a"},
        {"addresses": ["10.80.1.7"], "conditions": {"ready": False}},
        {"addresses": ["10.80.1.8"], "conditions": {"ready": None}},
    ]
    document = {"endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}
    assert read_endpoint_slice(document) == (
        EndpointPort("http", TCP, ip_address("10.80.1.5"), 8080, "a"),
        EndpointPort("http", TCP, ip_address("10.80.1.8"), 8080),
    )
