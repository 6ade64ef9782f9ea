"""Trusted prefixes: which sources open connections to pods."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.family import Address, Prefix
from unit.firewall.chains.packets import CLOSED, STRANGER, Table, inbound

# Few different bits at both ends, so that prefixes of every length contain some of the addresses and not others.
ADDRESSES = st.one_of(
    st.builds(lambda high, low: IPv4Address(high << 30 | low), st.integers(0, 3), st.integers(0, 3)),
    st.builds(lambda high, low: IPv6Address(high << 126 | low), st.integers(0, 3), st.integers(0, 3)),
)
PREFIXES = st.builds(
    lambda address, length: ip_network((address, min(length, address.max_prefixlen)), strict=False),
    ADDRESSES,
    st.sampled_from([0, 1, 2, 16, 31, 32, 127, 128]),
)


@given(ADDRESSES, st.lists(PREFIXES, max_size=4))
def test_a_source_is_accepted_if_and_only_if_a_trusted_prefix_contains_it(
    source: Address, prefixes: list[Prefix]
) -> None:
    """Prefixes of both families may overlap and stand in any order."""
    table = Table(replace(CLOSED, trusted=tuple(prefixes)))
    found = table.verdict("edge", inbound(source.version, source=str(source)))

    assert ("accept" if any(source in prefix for prefix in prefixes) else "drop") == found


@pytest.mark.parametrize("version", [4, 6])
def test_trusting_one_family_opens_nothing_in_the_other(version: int) -> None:
    """The sets of both families exist, and that of the family without trusted prefixes contains no source."""
    table = Table(replace(CLOSED, trusted=(ip_network(STRANGER[version]),)))

    assert table.verdict("edge", inbound(version)) == "accept"
    assert table.verdict("edge", inbound(10 - version)) == "drop"
