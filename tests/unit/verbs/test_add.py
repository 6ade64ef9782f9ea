"""ADD from the reservation to the answer, with a kernel by its words and wires that only say how they were made."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from slash80.addressing.attachment import Attachment, State
from slash80.addressing.choose import Use
from slash80.addressing.family import Address
from slash80.cni.document import Document
from slash80.errors import BelongsToAnother, CniError, Failure
from slash80.host import forwarding
from slash80.host.context import CallContext, Host
from slash80.verbs.add import add
from slash80.wiring import veth
from slash80.wiring.plan import Plan
from slash80.wiring.veth import AddressInUse, HostEndLeft
from unit.builders import HANDED, attachment, conf, host_in, request_of
from unit.kernels import Kernel
from unit.wiring.plans import PLAN, link

pytestmark = pytest.mark.usefixtures("connections")
NAME = PLAN.host_ifname
SHOW, DELETE = f"ip link show {NAME}", f"ip link del {NAME}"
TERMINATING = SHOW.replace("s80", "x80")
MADE: dict[str, Any] = {SHOW: [link(NAME)], DELETE: 0}
HOLDER = "s80aaaaaaaaaaaa"
ONE_ADDRESS: dict[str, Any] = {  # 10.80.1.4
    "ipv4": {"prefixes": ["10.80.1.4/30"], "reserveEdges": False, "exclude": ["10.80.1.5/32", "10.80.1.6/31"]},
    "ipv6": {},
}

Outcome = Callable[[Plan], Exception | None]


@dataclass
class World:
    """A node without a pod, and ADDs on it; `outcomes` has how the wires of each try come out, good at the end."""

    host: Host
    kernel: Kernel
    outcomes: list[Outcome] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)

    def wire(self, _host: object, _pod: object, plan: Plan, **_: object) -> None:
        """Take the place of veth.attach."""
        self.plans.append(plan)
        if self.outcomes and (error := self.outcomes.pop(0)(plan)):
            raise error

    def add(self, answer: Callable[[Document], None] | None = None, **keys: Any) -> None:  # noqa: ANN401 -- any JSON value
        """Call ADD, with further keys of the configuration."""
        with HANDED.open("rb") as namespace:
            context = CallContext(lambda _: nullcontext(self.host), namespace.fileno())
            add(
                request_of(conf(**keys), CONTAINERID="container1", NETNS_OVERRIDE="1"),
                context,
                answer or (lambda _: None),
            )

    def held_by_another(self, *, known: bool = True) -> None:
        """Have a living attachment whose link is HOLDER, or only that link."""
        self.kernel._answers |= {f"ip link show {HOLDER}": [link(HOLDER)]}
        if known:
            self.host.store.keep(replace(attachment(2), host_ifname=HOLDER))

    def known(self) -> Attachment | None:
        """Return what is recorded of the attachment."""
        return self.host.store.get(NAME)

    def uses(self, addresses: Sequence[Address]) -> list[Use | None]:
        """Return how addresses are used."""
        return self.host.store.read(lambda register: [register.use(one) for one in addresses])


@pytest.fixture
def world(mocker: MockerFixture, tmp_path: Path) -> World:
    """Give a world whose node has no links at all."""
    kernel = Kernel({})
    world = World(host_in(tmp_path / "state", kernel), kernel)
    mocker.patch.object(veth, "attach", world.wire)
    mocker.patch("slash80.verbs.add.netns.socket_inside", return_value=Kernel({}))
    mocker.patch("slash80.verbs.add.netns.inside")
    mocker.patch.object(Host, "ensure_firewall", autospec=True)
    mocker.patch.object(forwarding, "prepare", autospec=True)
    return world


def _raising(error: Exception) -> Outcome:
    return lambda _: error


def _in_use(plan: Plan) -> Exception:
    return AddressInUse(plan.addresses[0], HOLDER)


def test_an_attachment_is_recorded_and_answered(world: World) -> None:
    """The answer has the addresses that the record has."""
    answers: list[Document] = []
    world.add(answers.append)

    known = world.known()
    assert known is not None
    assert (State.READY, world.plans[0].addresses) == (known.state, known.assignment.addresses)
    assert [f"{a}/{a.max_prefixlen}" for a in world.plans[0].addresses] == [ip["address"] for ip in answers[0]["ips"]]


def test_the_answer_goes_out_after_the_attachment_is_kept(world: World) -> None:
    """If the store is lost during wiring, the runtime gets the result only when the pod is recorded again."""
    seen: list[Attachment | None] = []
    world.outcomes = [lambda _: world.host.store.release(NAME)]
    world.add(lambda _: seen.append(world.known()))

    assert [world.known()] == seen
    assert seen[0] is not None


def test_an_add_that_failed_before_its_link_existed_gives_its_addresses_back_without_rest(world: World) -> None:
    """They were never on any wire, so the next pod may have them at once."""
    world.outcomes = [_raising(Failure("no"))]
    with pytest.raises(Failure, match="no"):
        world.add()

    assert ([None, None], None) == (world.uses(world.plans[0].addresses), world.known())


def test_an_add_that_failed_with_its_link_lets_its_addresses_rest(world: World) -> None:
    """Other hosts may have seen them, so no other pod gets them soon; the link is deleted first."""
    world.outcomes = [_raising(Failure("no"))]
    world.kernel._answers |= MADE
    with pytest.raises(Failure, match="no"):
        world.add()

    assert [Use(None, 2000.0)] * 2 == world.uses(world.plans[0].addresses)
    assert DELETE in world.kernel.done
    assert world.known() is None


def test_an_attachment_that_nobody_hears_of_is_taken_away(world: World) -> None:
    """The error of the answer is what the caller gets."""

    def unheard(_: Document) -> None:
        world.kernel._answers |= MADE
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        world.add(unheard)
    assert DELETE in world.kernel.done
    assert world.known() is None


def test_an_undoing_that_fails_too_is_a_note_of_the_first_error(world: World) -> None:
    """The first error is the reason; the second says what is left and what finishes it."""
    world.outcomes = [_raising(Failure("first"))]
    world.kernel._answers |= {SHOW: [link(NAME)], DELETE: 1}
    with pytest.raises(Failure, match="first") as caught:
        world.add()

    assert any(DELETE in note and "a DEL, a GC or the next ADD" in note for note in caught.value.__notes__)


def test_an_address_that_is_in_use_is_passed_over(world: World) -> None:
    """Another state directory may serve the same prefixes; the next choice is tried, and only that is recorded."""
    world.outcomes = [_in_use, _in_use]
    world.add()

    assert 3 == len({plan.addresses for plan in world.plans})
    known = world.known()
    assert known is not None
    assert world.plans[-1].addresses == known.assignment.addresses


def test_a_requested_address_that_is_in_use_is_refused(world: World) -> None:
    """No other address is what was asked for."""
    world.held_by_another()
    world.outcomes = [_in_use]
    with pytest.raises(
        BelongsToAnother, match=r"requested address 10\.80\.1\.9 is in use on link s80a.*ask for another"
    ):
        world.add(runtimeConfig={"ips": ["10.80.1.9"]})
    assert 1 == len(world.plans)


def test_addresses_that_are_all_in_use_end_the_search(world: World) -> None:
    """After eight attempts an operator has to look at the node."""
    world.outcomes = [_in_use] * 99
    with pytest.raises(Failure, match="8 addresses in a row turned out to be in use"):
        world.add()

    assert 8 == len(world.plans)


def test_a_link_that_nobody_knows_and_has_our_address_is_removed(world: World) -> None:
    """It is of an attachment that was lost with its record; then even a requested address can be given."""
    gone = f"ip link del {HOLDER}"
    world.kernel._answers |= {f"ip link show {HOLDER}": [link(HOLDER)], gone: 0}
    world.outcomes = [_in_use]
    world.add(runtimeConfig={"ips": ["10.80.1.9"]})

    assert gone in world.kernel.done
    assert ["10.80.1.9"] * 2 == [str(plan.addresses[0]) for plan in world.plans]


@pytest.mark.parametrize("busy", [True, False])
def test_a_link_that_somebody_knows_or_works_on_is_left(world: World, tmp_path: Path, busy: bool) -> None:  # noqa: FBT001
    """Its attachment is complete, or another call is making it."""
    world.held_by_another(known=not busy)
    others = host_in(tmp_path / "state", Kernel({})).locks
    world.outcomes = [_in_use]
    with others.held(HOLDER) if busy else nullcontext():
        world.add()

    assert f"ip link del {HOLDER}" not in world.kernel.done
    assert 2 == len(world.plans)


def test_a_host_end_that_was_left_of_a_killed_call_makes_room(world: World) -> None:
    """Undoing deletes it, and the second try makes the pair."""
    world.kernel._answers |= MADE
    world.outcomes = [_raising(HostEndLeft(NAME))]
    world.add()

    assert 2 == len(world.plans)
    assert DELETE in world.kernel.done


def test_a_second_add_of_a_living_attachment_is_refused(world: World) -> None:
    """The pod that has it keeps it."""
    world.add()
    world.kernel._answers |= MADE
    with pytest.raises(Failure, match=r"attached already.*only a DEL makes room"):
        world.add()

    assert DELETE not in world.kernel.done
    assert world.known() is not None


@pytest.mark.parametrize("left", [{}, {SHOW: [link(NAME, ifalias=None)], DELETE: 0}])
def test_what_a_killed_add_left_is_cleared_by_the_next(world: World, left: dict[str, Any]) -> None:
    """A record without a link, or whose link has no alias yet, is not a living pod."""
    world.add()
    first = world.plans[0].addresses
    world.kernel._answers |= left
    world.add()

    assert (DELETE in world.kernel.done) == bool(left)
    assert first != world.plans[1].addresses
    assert [None] * 2 == [use and use.holder for use in world.uses(first)]


def test_a_full_pool_is_searched_for_the_dead_once(world: World) -> None:
    """The only address is of a pod whose namespace vanished with its link."""
    world.host.store.keep(_other_with("10.80.1.4"))
    world.add(**ONE_ADDRESS)

    assert ["10.80.1.4"] == list(map(str, world.plans[0].addresses))


def test_a_full_pool_of_the_living_is_an_error(world: World) -> None:
    """No attachment loses an address, and no link is created."""
    other = _other_with("10.80.1.4")
    world.kernel._answers |= {f"ip link show {other.host_ifname}": [link(other.host_ifname)]}
    world.host.store.keep(other)
    with pytest.raises(CniError, match=r"10\.80\.1\.4/30"):
        world.add(**ONE_ADDRESS)

    assert ([], [other]) == (world.plans, world.host.store.attachments())


def _other_with(address: str) -> Attachment:
    other = attachment(2)
    return replace(other, assignment=replace(other.assignment, ipv4=IPv4Address(address), ipv6=None))


def test_a_second_interface_has_a_metric_of_its_own(world: World) -> None:
    """It is the number of the container's interfaces, or what is free after it."""
    world.add()
    with HANDED.open("rb") as namespace:
        context = CallContext(lambda _: nullcontext(world.host), namespace.fileno())
        add(
            request_of(conf(defaultRoute=True), CONTAINERID="container1", NETNS_OVERRIDE="1", IFNAME="net1"),
            context,
            lambda _: None,
        )

    assert [[None, 100], [101, 101]] == [[route.priority for route in plan.routes] for plan in world.plans]
