"""ServiceCIDRs as the API sends them."""

from ipaddress import ip_network

import pytest

from slash80.cluster.objects.reading import Unreadable
from slash80.cluster.objects.servicecidr import read_service_cidr


def test_services_have_one_range_or_two() -> None:
    """A cluster with both families has both in one object."""
    found = read_service_cidr({"spec": {"cidrs": ["10.96.0.0/16", "fd00::/112"]}})
    assert (ip_network("10.96.0.0/16"), ip_network("fd00::/112")) == found


@pytest.mark.parametrize("cidrs", [["10.96.0.0/16", "x"], ["fe80::%eth0/64"], ["x" * 100], ["10.96.0.0/16"] * 17])
def test_services_that_cannot_be_understood_are_refused_whole(cidrs: list[str]) -> None:
    """Half of the ranges would close the NodePorts of the other family; the object stays as it was understood last."""
    with pytest.raises(Unreadable):
        read_service_cidr({"spec": {"cidrs": cidrs}})
