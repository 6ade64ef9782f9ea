"""A pool: prefixes less what is reserved and excluded."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.family import IPV4, IPV6, family_of
from slash80.addressing.pool import Pool, Range


def _range(first: str, last: str) -> Range:
    return Range(ip_address(first), ip_address(last))


def _pool(*prefixes: str, exclude: tuple[Range, ...] = (), reserve_edges: bool = True) -> Pool:
    networks = tuple(map(ip_network, prefixes))
    return Pool(family_of(networks[0]), networks, exclude, reserve_edges)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.80.1.1", ""),
        ("10.80.1.254", ""),
        ("10.80.1.0", "it is the network address of 10.80.1.0/24"),
        ("10.80.1.255", "it is the broadcast address of 10.80.1.0/24"),
        ("10.80.2.1", "it is outside 10.80.1.0/24"),
        ("10.80.1.7", "it is excluded by ipv4.exclude"),
        ("2001:db8::1", "it is outside 10.80.1.0/24"),
    ],
)
def test_reserved_address_has_a_reason(address: str, reason: str) -> None:
    """The reason appears in the error about a requested address."""
    pool = _pool("10.80.1.0/24", exclude=(_range("10.80.1.5", "10.80.1.9"),))

    assert reason == pool.why_not(ip_address(address))


def test_edges_of_a_prefix_may_be_handed_out() -> None:
    """A cloud's /28 is not a subnet of its own, so all 16 addresses can be used."""
    pool = _pool("10.80.1.0/28", reserve_edges=False)

    assert (16, "", "") == (pool.total, *(pool.why_not(ip_address(a)) for a in ("10.80.1.0", "10.80.1.15")))


@pytest.mark.parametrize("reserve_edges", [True, False])
def test_subnet_router_anycast_address_is_reserved(reserve_edges: bool) -> None:  # noqa: FBT001
    """In IPv6 the all-zeros address is reserved and the all-ones address is not."""
    pool = _pool("2001:db8::/120", reserve_edges=reserve_edges)

    assert "it is the subnet-router anycast address of 2001:db8::/120" == pool.why_not(ip_address("2001:db8::"))
    assert (255, "") == (pool.total, pool.why_not(ip_address("2001:db8::ff")))


def test_ranges_follow_the_order_of_prefixes() -> None:
    """The first prefix is used up first, independently of the numeric order."""
    ranges = _pool("10.80.9.0/30", "10.80.1.0/29", exclude=(_range("10.80.1.3", "10.80.1.4"),)).ranges

    assert [
        ("10.80.9.1", "10.80.9.2"),
        ("10.80.1.1", "10.80.1.2"),
        ("10.80.1.5", "10.80.1.6"),
    ] == [(str(r.first), str(r.last)) for r in ranges]


OFFSETS = st.tuples(st.integers(-3, 20), st.integers(0, 10)).map(lambda pair: (pair[0], sum(pair)))


@given(st.sampled_from([IPV4, IPV6]), st.lists(OFFSETS, max_size=4), st.booleans())
def test_ranges_hold_exactly_the_usable_addresses(family: object, offsets: list[tuple[int, int]], edges: bool) -> None:  # noqa: FBT001
    """With any exclusions, overlapping or beyond the prefix, the ranges hold exactly the usable addresses."""
    prefix = ip_network("10.80.1.0/28" if family is IPV4 else "2001:db8::/124")
    start = prefix.network_address
    exclude = tuple(Range(start + low, start + high) for low, high in offsets)
    pool = Pool(family_of(prefix), (prefix,), exclude, edges)

    listed = [int(r.first) + n for r in pool.ranges for n in range(int(r.last) - int(r.first) + 1)]
    assert [int(a) for a in prefix if not pool.why_not(a)] == listed
    assert pool.total == len(listed)
