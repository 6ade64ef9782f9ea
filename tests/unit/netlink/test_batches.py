"""Batches that are put together once: byte for byte what their steps are."""

import errno
from collections.abc import Hashable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.family import FAMILIES, IPV4, IPV6, Address, Family
from slash80.addressing.mac import Mac
from slash80.netlink import codec, constants
from slash80.netlink.batches import Batches, Make, joined
from slash80.netlink.codec import Step
from slash80.netlink.templates import Value, pack
from slash80.wiring import veth
from slash80.wiring.plan import Plan, RouteSpec
from unit.kernels import Wire, connected, packet
from unit.netlink.test_templates import INDEXES, PLANS, ROUTES
from unit.wiring.plans import PLAN

ALIASES = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=255)


def _same(batches: Batches, make: Make, fixed: tuple[Hashable, ...], values: tuple[Value, ...]) -> None:
    """Check that a batch is sent as its steps would be, under whatever numbers, and has them."""
    batch, steps = batches.fill(make, fixed, values), make(fixed, values)
    for first in (7, 8):
        assert joined(steps, first) == batch.numbered(first)
    assert steps == list(batch)
    assert len(steps) == len(batch)


@given(PLANS, INDEXES, ALIASES, st.lists(ROUTES, max_size=3), st.sampled_from([(), (IPV4,), (IPV6,), FAMILIES]))
def test_batches_of_an_add_equal_their_steps(
    plan: Plan, index: int, alias: str, routes: list[RouteSpec], loopback: tuple[Family, ...]
) -> None:
    """The host end's, the pod's and the last one, of pods with any families, routes, names and numbers."""
    for addresses in (plan.addresses, plan.addresses[:1], plan.addresses[1:]):
        one = replace(plan, addresses=addresses, routes=tuple(routes), loopback=loopback)
        host, pod = (one.host_ifname, index, *addresses), (one.ifname, index, one.host_mac, *addresses)
        _same(veth._BATCHES, veth._host_end, (one.families, one.loopback), host)
        _same(veth._BATCHES, veth._pod_end, (one.families, one.routes), pod)
        _same(veth._BATCHES, veth._end, (), (one.host_ifname, index, alias, *addresses))


def _steps(*words: int | Mac) -> list[Step]:
    values = [pack(word) for word in words]
    return [Step(f"step {n}", codec.message(20, constants.NLM_F_ACK, value)) for n, value in enumerate(values)]


def test_steps_of_a_batch_are_made_only_where_they_are_looked_at() -> None:
    """What is sent does not need them; the one that failed is named."""
    made: list[Sequence[object]] = []

    def make(_: tuple[()], words: tuple[int, ...]) -> list[Step]:
        made.append(words)
        return _steps(*words)

    batches = Batches()
    batches.fill(make, (), (1, 2))
    made.clear()
    batch = batches.fill(make, (), (3, 4))
    batch.numbered(1)

    assert made == []
    assert "step 1" == batch[1].what
    assert [(3, 4)] == made


def test_a_batch_with_more_that_depends_on_its_values_is_a_mistake() -> None:
    """A number that decides which messages there are must be given as what is fixed."""

    def make(_: tuple[()], numbers: tuple[int]) -> list[Step]:
        return _steps(*range(numbers[0] % 256))

    with pytest.raises(AssertionError, match="messages of make have more"):
        Batches().fill(make, (), (1,))


def test_a_value_may_be_in_a_batch_several_times_or_not_at_all() -> None:
    """Each place has its bytes, and one that is only in the words of a step has none."""

    def make(_: tuple[()], values: tuple[int, Mac, Address]) -> list[Step]:
        return _steps(values[0], values[1], values[0])

    _same(Batches(), make, (), (5, PLAN.mac, PLAN.addresses[0]))


def test_a_socket_sends_a_batch_as_steps() -> None:
    """It numbers the messages, and only the last one asks to be acknowledged."""
    wire = Wire(lambda numbers: [_refusal(numbers[0]), _refusal(numbers[1], 0)])
    answers = connected(wire).exchange(Batches().fill(lambda _, words: _steps(*words), (), (8, 9)))

    assert [errno.EPERM, 0] == [answer.errno for answer in answers]
    assert [pack(8), pack(9)] == [body for _, body in wire.messages()]


def _refusal(number: int, code: int = errno.EPERM) -> bytes:
    body = (-code).to_bytes(4, "little", signed=True) + codec.HEADER.pack(codec.HEADER.size, 20, 0, number, 0)
    return packet(constants.NLMSG_ERROR, constants.NLM_F_CAPPED, number, body)
