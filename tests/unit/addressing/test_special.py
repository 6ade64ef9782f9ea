"""Addresses that no pod of another cluster can have."""

from ipaddress import ip_address, ip_network

import pytest

from slash80.addressing.special import special


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::10.0.0.1", "neither"),
        ("::ffff:10.0.0.1", "IPv4-mapped"),
        ("64:ff9b::a00:1", "NAT64"),
        ("64:ff9b:1::1", "NAT64"),
        ("100::1", "discard"),
        ("2001::1", "Teredo"),
        ("2001:20::1", "IETF"),
        ("2002:a00:1::1", "6to4"),
        ("fe80::1", "link-local"),
        ("fec0::1", "neither"),
        ("ff02::1", "multicast"),
        ("fd00:ec2::254", "metadata"),
        ("0.0.0.0", "this network"),
        ("127.0.0.53", "loopback"),
        ("169.254.169.254", "metadata"),
        ("169.254.1.1", "link-local"),
        ("100.100.100.200", "metadata"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
    ],
)
def test_a_special_address_is_named(text: str, name: str) -> None:
    """What is not unicast, what one host keeps for itself and what a translator leads elsewhere has its name."""
    assert name in str(special(ip_address(text)))


@pytest.mark.parametrize(
    "text",
    ["2001:db8::1", "2a00::1", "fd12:3456::1", "10.1.2.3", "192.168.1.1", "100.64.0.1", "203.0.113.5", "8.8.8.8"],
)
def test_addresses_that_pods_have_are_not_special(text: str) -> None:
    """Global, private and shared addresses are pods' own, and so are those of documentation, as in laboratories."""
    assert special(ip_address(text)) is None
    assert special(ip_network(text)) is None


@pytest.mark.parametrize("text", ["2001::/16", "169.0.0.0/8", "::/8", "fe00::/8", "2000::/3", "fd00::/8", "a::/32"])
def test_a_prefix_is_special_when_a_part_of_it_is(text: str) -> None:
    """One that reaches into a special range would bring it along; ULA as a whole does not."""
    assert (text != "fd00::/8") == bool(special(ip_network(text)))
