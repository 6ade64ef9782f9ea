"""Ports as settings and annotations write them."""

import socket
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.ports import BY_NAME, PortRange, merged

PORTS = st.integers(1, 65535)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("tcp/443", PortRange("tcp", 443, 443)),
        ("udp/53-53", PortRange("udp", 53, 53)),
        ("sctp/1-65535", PortRange("sctp", 1, 65535)),
    ],
)
def test_ports_are_read(text: str, read: PortRange) -> None:
    """One port is a range of one."""
    assert read == PortRange.parse(text)


@given(st.sampled_from(sorted(BY_NAME)), PORTS, PORTS)
def test_what_is_written_is_read_again(protocol: str, one: int, other: int) -> None:
    """Settings are handed on as text, in node.json."""
    ports = PortRange(protocol, min(one, other), max(one, other))

    assert ports == PortRange.parse(str(ports))


@pytest.mark.parametrize(
    "text",
    [
        *("", "443", "tcp", "tcp/", "/443", "tcp/https", "TCP/443", "icmp/8", "6/443", "tcp:443"),
        *("tcp/0", "tcp/65536", "tcp/99999", "tcp/100000", "tcp/-1", "tcp/0443", "tcp/4.5", "tcp/\u0664"),
        *("tcp/90-80", "tcp/80-", "tcp/-80", "tcp/80-90-100", "tcp/80-65536", "tcp/80 - 90", " tcp/80", "tcp/80\n"),
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    """A port that is not what its author meant would open or close another one."""
    with pytest.raises(ValueError, match=r"tcp, udp or sctp|from 1 to 65535"):
        PortRange.parse(text)


def test_the_numbers_are_those_of_the_kernel() -> None:
    """The program nft takes them where /etc/protocols is missing."""
    numbers = {name: getattr(socket, f"IPPROTO_{name.upper()}") for name in BY_NAME}

    assert numbers == {name: PortRange(name, 1, 1).number for name in BY_NAME}


RANGES = st.builds(
    lambda protocol, one, other: PortRange(protocol, min(one, other), max(one, other)),
    st.sampled_from(sorted(BY_NAME)),
    *[st.one_of(st.integers(1, 20), PORTS)] * 2,
)


def _ports(ranges: Iterable[PortRange]) -> set[tuple[str, int]]:
    return {(one.protocol, port) for one in ranges for port in range(one.first, one.last + 1)}


@given(st.lists(RANGES, max_size=8))
def test_merged_ranges_are_the_same_ports_apart_from_each_other(ranges: list[PortRange]) -> None:
    """The kernel refuses intervals that overlap; those that adjoin would be one element more than needed."""
    found = merged(ranges)

    assert _ports(ranges) == _ports(found)
    assert all(one.protocol != next_.protocol or one.last + 1 < next_.first for one, next_ in pairwise(found))
    assert found == merged(reversed(ranges))
