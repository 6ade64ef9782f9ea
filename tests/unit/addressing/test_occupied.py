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


def test_an_address_leads_where_the_words_say() -> None:
    """Or nowhere."""
    told = [HALVES.why(ip_address(f"10.80.1.{last}")) for last in (3, 4, 8)]

    assert ["route 0 leads there", "route 4 leads there", ""] == told


def test_a_pool_is_refused_when_nothing_is_left() -> None:
    """Also when several routes have it together; network and broadcast address do not count."""
    assert list(POOL.ranges) == Occupied().left_of(POOL)
    assert [Range(ip_address("10.80.1.1"), ip_address("10.80.1.3"))] == Occupied(dict([HALF.copy().popitem()])).left_of(
        POOL
    )
    inside = Occupied({Range(ip_address("10.80.1.1"), ip_address("10.80.1.6")): "a neighbour has it"})
    for taken, words in ((HALVES, "route 0 leads there, route 4 leads there"), (inside, "a neighbour has it")):
        with pytest.raises(BelongsToAnother, match=f"because {words}; delete"):
            taken.left_of(POOL)
    assert [] == Occupied().left_of(Pool(IPV4, POOL.prefixes, (Range.of(POOL.prefixes[0]),)))


def test_a_message_names_a_few_routes_of_many() -> None:
    """And none of another pool."""
    many = Occupied({Range(a, a): f"{a} is there" for a in [ip_address("10.80.2.1"), *ip_network("10.80.1.0/29")]})

    told = "10.80.1.0 is there, 10.80.1.1 is there, 10.80.1.2 is there and 5 more are in the way"
    assert (told, "") == (many.told(POOL), Occupied().told(POOL))
