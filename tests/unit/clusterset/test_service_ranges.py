"""How the ranges of a cluster's Services are found out, by what its Kubernetes answers."""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from lab.kube import NAMESPACES, FakeApi, namespace
from slash80.cluster.api import Api, Refused
from slash80.cluster.credentials import ClientConfig
from slash80.clusterset.service_ranges import are_known, service_ranges

OWN, SERVICES = "slash80-system", "/api/v1/services"
CIDRS = "/apis/networking.k8s.io/v1/servicecidrs"
BOTH = (ip_network("10.96.0.0/12"), ip_network("fd00:10:96::/112"))


@pytest.fixture
def server() -> Iterator[FakeApi]:
    """Provide an API server without ServiceCIDRs."""
    found = FakeApi()
    found.objects |= {SERVICES: {}}
    found.put(NAMESPACES, namespace(OWN))
    yield found
    found.stop()


def asked(server: FakeApi) -> tuple[Any, ...]:
    """Return what is found out."""
    api = Api(ClientConfig(server.start()))
    try:
        return service_ranges(api, OWN)
    finally:
        api.close()


def cidr(name: str, *cidrs: str) -> dict[str, Any]:
    """Return a ServiceCIDR."""
    return {"metadata": {"name": name}, "spec": {"cidrs": list(cidrs)}}


def test_service_cidrs_say_the_ranges(server: FakeApi) -> None:
    """All of them count, since a cluster may get more, and two answers in another order are the same."""
    server.put(CIDRS, cidr("kubernetes", "fd00:10:96::/112", "10.96.0.0/12"))
    server.put(CIDRS, cidr("a-later-one", "10.200.0.0/16"))

    assert (BOTH[0], ip_network("10.200.0.0/16"), BOTH[1]) == asked(server)
    assert not [one for one in server.seen if one.startswith("POST")]


@pytest.mark.parametrize("forbidden", [False, True], ids=["before Kubernetes 1.33", "without the right"])
def test_refusals_of_a_dry_run_name_the_ranges(server: FakeApi, *, forbidden: bool) -> None:
    """Where ServiceCIDRs cannot be read, an address that is outside of them is refused with what they are."""
    if forbidden:
        server.forbidden.add("servicecidrs")
    else:
        del server.objects[CIDRS]

    assert BOTH == asked(server)
    assert not server.objects[SERVICES]


def test_a_family_that_services_do_not_have_has_no_range(server: FakeApi) -> None:
    """On a cluster of one family the refusal for the other one names nothing."""
    server.writes.families = ["IPv4"]

    assert BOTH[:1] == asked(server)


def test_the_address_of_the_api_stands_for_ranges_that_are_not_known(server: FakeApi) -> None:
    """Where neither answers, at least no member may have pods at the address of Service `kubernetes`."""
    server.writes.names_ranges = False
    server.put(NAMESPACES, namespace("default"))
    body = {"metadata": {"name": "kubernetes"}, "spec": {"ports": []}}
    server.writes.create("/api/v1/namespaces/default/services", body)

    found = asked(server)

    assert (ip_network("fd00:10:96::1/128"),) == found
    assert not are_known(found)
    assert are_known(BOTH)


def test_a_server_that_is_not_ready_is_asked_again(server: FakeApi) -> None:
    """Its error is not taken for a cluster without ranges."""
    server.faults = [500]
    with pytest.raises(Refused, match="500"):
        asked(server)
