"""Values of the table that several chains share."""

from ipaddress import ip_network

from slash80.addressing.family import IPV4, IPV6
from slash80.firewall.records import Chain, Ruleset, of_family, prefix_set

NETWORKS = [ip_network(text) for text in ("10.1.0.0/16", "2001:db8:1::/48", "10.0.0.0/16", "10.0.5.0/24")]


def test_a_chain_is_used_by_its_rules_and_by_the_rules_that_jump_to_it() -> None:
    """The kernel counts both in NFTA_CHAIN_USE; a longer name that begins the same is another chain."""
    target = Chain("pings", ("accept",))
    caller = Chain("edge", ("goto pings", "icmp type 8 jump pings", "goto pings6", "drop"), "type filter hook forward;")
    ruleset = Ruleset("", "", (target, caller))

    assert (3, 4) == (ruleset.uses(target), ruleset.uses(caller))


def test_prefixes_of_a_set_do_not_overlap() -> None:
    """An interval set refuses an element that lies in another one; neighbours are joined."""
    assert [ip_network("10.0.0.0/15")] == list(of_family(IPV4, NETWORKS))


def test_a_prefix_set_is_named_after_its_family() -> None:
    """The rules name `trusted4` and `trusted6`; a set without elements is there as well."""
    assert ("trusted6", "ipv6_addr", ("2001:db8:1::/48",)) == (
        (one := prefix_set("trusted", IPV6, NETWORKS)).name,
        one.type,
        one.elements,
    )
    assert () == prefix_set("trusted", IPV4, []).elements
