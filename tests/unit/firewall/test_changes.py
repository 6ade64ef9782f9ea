"""Changes of pods' elements: what is put together once for each shape has the bytes of what is not."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.firewall import elements, messages
from slash80.firewall.records import Element
from slash80.netlink.batches import Batch, joined
from slash80.netlink.codec import Step
from unit.builders import OPENINGS, attachment

NAMES = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=1, max_size=12).map("s80{}".format)
FOUR, SIX = st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address)


def _of_pods(name: str, addresses: Sequence[IPv4Address | IPv6Address]) -> list[Element]:
    return [Element(f"pods{address.version}", (name, address)) for address in addresses]


def _plainly(generation: int, added: list[Element]) -> list[Step]:
    listed = sorted(added, key=lambda one: one.set_name)
    return messages._changed(generation.to_bytes(4, "big"), [(*messages._ADD, listed)])


@given(NAMES, st.lists(st.one_of(FOUR, SIX), min_size=1, max_size=6), st.integers(1, 2**32 - 1))
def test_a_pods_elements_are_added_by_the_same_messages_put_together_or_not(
    name: str, addresses: list[IPv4Address | IPv6Address], generation: int
) -> None:
    """Whatever addresses its interfaces have, how long its name is and how many commits there were."""
    added = _of_pods(name, addresses)
    batch = messages.change(generation, added, ())

    assert isinstance(batch, Batch)
    assert joined(_plainly(generation, added), 3) == batch.numbered(3)
    assert [step.what for step in _plainly(generation, added)] == [step.what for step in batch]


@pytest.mark.parametrize("generation", [0, 5])
def test_other_changes_are_put_together_each_time(generation: int) -> None:
    """A deletion, and what leads a port to a pod; so is what comes without a generation."""
    plain, opened = _of_pods("s80a", [IPv4Address("10.0.0.1")]), attachment(1, openings=OPENINGS)

    assert not isinstance(messages.change(generation, [], plain), Batch)
    assert not isinstance(messages.change(generation, elements.of_attachments([opened]), []), Batch)
    assert isinstance(messages.change(generation, plain, []), Batch) == bool(generation)
