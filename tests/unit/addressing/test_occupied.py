"""Addresses that lead somewhere already."""

from ipaddress import ip_address, ip_network

import pytest

from slash80.addressing.family import IPV4
from slash80.addressing.occupied import Occupied
from slash80.addressing.pool import Pool, Range
from slash80.errors import BelongsToAnother

POOL = Pool(IPV4, (ip_network("10.80.1.0/29"),))
HALF = {Range.of(ip_network(f"10.80.1.{start}/30")): f"route {start} leads there" for start in (0, 4)}
HALVES = Occupied(HALF)


def test_address_is_routed_where_the_route_says() -> None:
    """Each route of the table leads the address to the place given in words, or nowhere."""
    told = [HALVES.why(ip_address(f"10.80.1.{last}")) for last in (3, 4, 8)]

    assert ["route 0 leads there", "route 4 leads there", ""] == told


def test_pool_without_a_usable_address_is_refused() -> None:
    """A pool is refused when one or several routes cover it; network and broadcast address do not count as usable."""
    assert list(POOL.ranges) == Occupied().left_of(POOL)
    assert [Range(ip_address("10.80.1.1"), ip_address("10.80.1.3"))] == Occupied(dict([HALF.copy().popitem()])).left_of(
        POOL
    )
    inside = Occupied({Range(ip_address("10.80.1.1"), ip_address("10.80.1.6")): "a neighbour has it"})
    for taken, words in ((HALVES, "route 0 leads there, route 4 leads there"), (inside, "a neighbour has it")):
        with pytest.raises(BelongsToAnother, match=f"because {words}; delete"):
            taken.left_of(POOL)
    assert [] == Occupied().left_of(Pool(IPV4, POOL.prefixes, (Range.of(POOL.prefixes[0]),)))


def test_message_names_three_of_many_routes() -> None:
    """The message names a few of the routes that cover a pool, and none of another pool."""
    many = Occupied({Range(a, a): f"{a} is there" for a in [ip_address("10.80.2.1"), *ip_network("10.80.1.0/29")]})

    told = "10.80.1.0 is there, 10.80.1.1 is there, 10.80.1.2 is there and 5 more are in the way"
    assert (told, "") == (many.told(POOL), Occupied().told(POOL))
