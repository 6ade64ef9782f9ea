"""A family's constants."""

from ipaddress import ip_address, ip_network

import pytest

from slash80.addressing.family import FAMILIES, IPV4, IPV6, Family, family_of


@pytest.mark.parametrize(("text", "family"), [("10.0.0.1", IPV4), ("2001:db8::1", IPV6), ("::ffff:10.0.0.1", IPV6)])
def test_address_and_prefix_have_a_family(text: str, family: object) -> None:
    """Addresses and prefixes belong to their family, and a family builds addresses from numbers."""
    address = ip_address(text)

    assert (family, family) == (family_of(address), family_of(ip_network(address)))
    assert address == family_of(address).address(int(address))


def test_gateways_are_those_of_the_documented_interface() -> None:
    """The gateways 169.254.1.1 and fe80::1 are part of every result."""
    gateways = [(str(f), f.key, str(f.gateway), f.gateway_length, str(f.everything)) for f in FAMILIES]

    assert [
        ("IPv4", "ipv4", "169.254.1.1", 32, "0.0.0.0/0"),
        ("IPv6", "ipv6", "fe80::1", 64, "::/0"),
    ] == gateways


@pytest.mark.parametrize("family", FAMILIES)
def test_bits_of_a_family_are_those_of_its_addresses(family: Family) -> None:
    """Messages to the kernel have them as the length of a host route, and no gateway's prefix is longer."""
    assert family.bits == family.gateway.max_prefixlen == family.everything.max_prefixlen
    assert family.gateway_length <= family.bits
