"""How many connections each may have."""

from ipaddress import ip_address

import pytest

from slash80.clusterset.connection_limits import ConnectionLimits, network


def test_flood_of_handshakes_ends_its_own() -> None:
    """Where one origin has begun most handshakes, its oldest is given up, and an honest one of another stays."""
    limits = ConnectionLimits[int](unproved=3)
    assert [None, None, None] == [limits.arrived(0, "honest"), limits.arrived(1, "flood"), limits.arrived(2, "flood")]

    assert [1, 2, 3] == [limits.arrived(number, "flood") for number in (3, 4, 5)]
    assert limits.proved(0, "honest", 1)
    assert not limits.proved(1, "flood", 1)


@pytest.mark.parametrize(("members", "share"), [(1, 4), (64, 4), (99, 2), (200, 1), (1000, 1)])
def test_all_members_together_fit(members: int, share: int) -> None:
    """The share of each is such that no one's is used up by others, as long as there are places for all."""
    limits = ConnectionLimits[int]()
    for number in range(5):
        limits.arrived(number, "a")

    assert [number < share for number in range(5)] == [limits.proved(number, "a", members) for number in range(5)]
    limits.left(0)
    limits.arrived(9, "a")
    assert limits.proved(9, "a", members)


def test_there_are_no_more_than_that() -> None:
    """Whatever the shares are, the sum is bounded."""
    limits = ConnectionLimits[int](most=2)
    for number in range(3):
        limits.arrived(number, "a")
    assert [True, True, False] == [limits.proved(number, f"m{number}", 1) for number in range(3)]
    assert [0, 1] == limits.all()


def test_strangers_are_told_apart_by_their_networks() -> None:
    """Addresses of one /64 of IPv6 are one origin, and each of IPv4 is one."""
    assert network(ip_address("2001:db8::1")) == network(ip_address("2001:db8::2:0:0:1"))
    assert network(ip_address("2001:db8::1")) != network(ip_address("2001:db8:0:1::1"))
    assert network(ip_address("192.0.2.1")) != network(ip_address("192.0.2.2"))
