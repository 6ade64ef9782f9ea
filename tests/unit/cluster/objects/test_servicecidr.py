"""ServiceCIDRs as the API sends them."""

from ipaddress import ip_network

from slash80.cluster.objects.servicecidr import read_service_cidr


def test_services_have_one_range_or_two() -> None:
    """A cluster with both families has both in one object, and what is not a prefix is left out."""
    found = read_service_cidr({"spec": {"cidrs": ["10.96.0.0/16", "fd00::/112", "x"]}})
    assert (ip_network("10.96.0.0/16"), ip_network("fd00::/112")) == found
