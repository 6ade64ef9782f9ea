"""Source `spec`: what the controller manager gave the node."""

from ipaddress import ip_network

from slash80.cluster.objects.node import NodeSeen
from slash80.desired.prefixes import PrefixReport
from slash80.prefixes import spec

ONE, OLD = ip_network("2001:db8:0:1:1::/80"), ip_network("10.80.1.0/24")


def test_the_prefixes_are_those_of_the_spec() -> None:
    """The order is that of `spec.podCIDRs`; a node that is not known yet has none."""
    assert PrefixReport("spec", (OLD, ONE)) == spec.report(NodeSeen("a", "", (OLD, ONE)))
    assert PrefixReport("spec") == spec.report(None)
