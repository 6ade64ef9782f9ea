"""Source `annotation`: what the node's own object overrides."""

from ipaddress import ip_network

from slash80.cluster.objects.node import NodeSeen
from slash80.desired.prefixes import PrefixReport
from slash80.desired.problems import Reason
from slash80.prefixes import annotation

ONE = ip_network("2001:db8:0:1:1::/80")


def test_the_annotation_of_the_node_is_a_list_of_prefixes() -> None:
    """A node without the annotation, or that is not known yet, has no prefix of this source."""
    assert PrefixReport("annotation", (ONE,)) == annotation.report(NodeSeen("a", "", override=f'["{ONE}"]'))
    assert PrefixReport("annotation") == annotation.report(NodeSeen("a", ""))
    assert PrefixReport("annotation") == annotation.report(None)


def test_an_annotation_that_cannot_be_read_is_a_problem() -> None:
    """The problem names the key and the value."""
    report = annotation.report(NodeSeen("a", "", override="5"))

    assert () == report.prefixes
    assert report.problem
    assert Reason.PREFIX_SOURCE_FAILED == report.problem.reason
    assert "slash80.io/prefix-override is '5'" in report.problem.message
