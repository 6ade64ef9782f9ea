"""Rates that are counted for each key, in nft's words."""

import pytest

from slash80.addressing.family import IPV4, IPV6
from slash80.firewall.rates import by_source, over


@pytest.mark.parametrize(("rate", "burst", "kept"), [(10, 10, 1), (100, 1000, 10), (3, 10, 4), (1000, 1, 1)])
def test_a_key_is_kept_until_it_has_its_burst_again(rate: int, burst: int, kept: int) -> None:
    """One that is forgotten sooner would get a second burst, and one that is kept longer takes another one's place."""
    words = over("some", "iifname", rate=rate, burst=burst)

    assert f"{{ iifname timeout {kept}s limit rate over {rate}/second burst {burst} packets }}" in words


def test_a_host_outside_is_its_address_or_its_64() -> None:
    """A host that has one IPv6 address of a /64 has all of them."""
    assert ("ip saddr", "ip6 saddr and ffff:ffff:ffff:ffff::") == (by_source(IPV4), by_source(IPV6))
