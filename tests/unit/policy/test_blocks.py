"""Which addresses ipBlocks mean together."""

from ipaddress import ip_address
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from policy.cluster import block
from slash80.addressing.family import FAMILIES, IPV4, IPV6, family_of
from slash80.policy.blocks import prefix_of, ranges
from slash80.policy.model import Block


def _texts(*blocks: Block) -> list[str]:
    return [f"{first}-{last}" for family in FAMILIES for first, last in ranges(blocks, family)]


def test_an_exception_cuts_a_prefix_in_two() -> None:
    """A large prefix without one host is two ranges, not a list of prefixes."""
    assert ["0.0.0.0-10.80.1.4", "10.80.1.6-15.255.255.255"] == _texts(block("0.0.0.0/4", "10.80.1.5/32"))
    assert ["2001:db8::-2001:db8::4", "2001:db8::6-2001:db8::ffff"] == _texts(block("2001:db8::/112", "2001:db8::5"))


def test_blocks_that_overlap_or_adjoin_become_one_range() -> None:
    """An interval set refuses overlaps, and two ranges side by side would be one too many."""
    assert ["10.0.0.0-10.0.1.255"] == _texts(block("10.0.0.0/24"), block("10.0.1.0/24"), block("10.0.0.128/25"))


def test_an_exception_is_of_its_own_block() -> None:
    """What one block leaves out another one has."""
    assert ["10.0.0.0-10.0.0.255"] == _texts(block("10.0.0.0/24", "10.0.0.7/32"), block("10.0.0.7/32"))
    assert [] == _texts(block("10.0.0.0/24", "10.0.0.0/8"))


def test_families_are_apart() -> None:
    """A block is of one family, and an exception of the other one takes nothing away."""
    assert ((ip_address("10.0.0.0"), ip_address("10.0.0.0")),) == ranges([block("10.0.0.0/32", "::/0")], IPV4)
    assert () == ranges([block("10.0.0.0/32")], IPV6)


def test_a_range_that_is_a_prefix_is_written_as_one() -> None:
    """One prefix needs no set: it is compared in the rule."""
    (span,) = ranges([block("10.0.0.0/25"), block("10.0.0.128/25")], IPV4)

    assert "10.0.0.0/24" == str(prefix_of(span))
    assert prefix_of((ip_address("10.0.0.1"), ip_address("10.0.0.2"))) is None


_SMALL = st.builds(
    lambda number, length: f"10.0.0.{number >> (32 - length) << (32 - length)}/{length}",
    st.integers(0, 255),
    st.integers(24, 32),
)


@given(st.lists(st.tuples(_SMALL, st.lists(_SMALL, max_size=3)), max_size=4), st.integers(0, 255))
def test_ranges_have_what_the_oracle_says(found: list[tuple[str, list[str]]], number: int) -> None:
    """An address is in the ranges exactly if some block has it without its exceptions; ranges are sorted and apart."""
    blocks, address = [block(whole, *parts) for whole, parts in found], ip_address(f"10.0.0.{number}")
    spans = ranges(blocks, family_of(address))
    expected = any(address in one.prefix and not any(address in out for out in one.exceptions) for one in blocks)

    assert expected is any(int(first) <= int(address) <= int(last) for first, last in spans)
    assert all(int(one[1]) + 1 < int(other[0]) for one, other in pairwise(spans))
