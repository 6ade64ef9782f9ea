"""The choice between a node's sources of prefixes."""

from ipaddress import ip_network

from slash80.addressing.family import IPV4, IPV6
from slash80.desired.prefixes import Chosen, PrefixReport, choose
from slash80.desired.problems import Problem, Reason

ONE, OTHER, OLD = ip_network("2001:db8:0:1:1::/80"), ip_network("2001:db8:0:2:1::/80"), ip_network("10.80.1.0/24")
AWAY = Problem(Reason.PREFIX_SOURCE_FAILED, "static", "the file cannot be read; fix it")


def test_each_family_has_the_prefixes_of_the_first_source_that_has_any() -> None:
    """IPv4 may come from the controller manager while IPv6 comes from elsewhere, in the order of the settings."""
    reports = [PrefixReport("static", (ONE,)), PrefixReport("annotation"), PrefixReport("spec", (OTHER, OLD))]
    found, problems = choose(reports, ["annotation", "static", "spec"])

    assert {IPV6: Chosen("static", (ONE,)), IPV4: Chosen("spec", (OLD,))} == found
    assert [] == problems


def test_a_source_that_is_not_in_the_settings_is_not_used() -> None:
    """A report of a source that is not configured adds no prefix, and its problem is not named."""
    found, problems = choose([PrefixReport("static", (ONE,), AWAY), PrefixReport("spec", (OLD,))], ["spec"])

    assert {IPV4: Chosen("spec", (OLD,))} == found
    assert [] == problems


def test_failed_prefix_source_falls_through_to_the_next() -> None:
    """The failure is reported, and so are unusable prefixes."""
    short = ip_network("2001:db8::/56")
    reports = [PrefixReport("static", problem=AWAY), PrefixReport("annotation", (short,)), PrefixReport("spec", (ONE,))]
    found, problems = choose(reports, ["static", "annotation", "spec"])

    assert {IPV6: Chosen("spec", (ONE,))} == found
    assert Problem(AWAY.reason, "static", "source static: the file cannot be read; fix it") == problems[0]
    assert (Reason.PREFIX_UNUSABLE, "2001:db8::/56") == (problems[1].reason, problems[1].subject)
    assert "source annotation: 2001:db8::/56 cannot be used" in problems[1].message


def test_a_source_that_fails_keeps_the_prefixes_that_it_had() -> None:
    """A source that is asked in the background still reports them, and the problem says how old they are."""
    found, problems = choose([PrefixReport("static", (ONE,), AWAY, age=90.4)], ["static"])

    assert {IPV6: Chosen("static", (ONE,))} == found
    assert [
        "source static: the file cannot be read; fix it; its prefixes of 90 s ago stay in use",
    ] == [problem.message for problem in problems]


def test_a_prefix_inside_another_one_of_the_node_is_left_out() -> None:
    """A `node.json` with both could not be used: an address would be handed out twice."""
    inner = ip_network("2001:db8:0:1:1:1::/96")
    found, problems = choose([PrefixReport("static", (inner, ONE, ONE))], ["static"])
    assert {IPV6: Chosen("static", (ONE,))} == found
    assert [(Reason.PREFIX_UNUSABLE, str(inner))] == [(one.reason, one.subject) for one in problems]


def test_a_node_has_no_more_prefixes_than_its_file_takes() -> None:
    """The first ones are used, and each of the others is a problem."""
    many = tuple(ip_network((0x20010DB8 << 96 | number << 48, 80)) for number in range(200))
    found, problems = choose([PrefixReport("static", many)], ["static"])
    assert (192, 8) == (len(found[IPV6].prefixes), len(problems))
