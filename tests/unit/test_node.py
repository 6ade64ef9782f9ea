"""What a call works with on its node, as far as it needs no kernel."""

from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from slash80.addressing.attachment import State
from slash80.errors import FirewallUnusable
from slash80.firewall.installed import InstalledTable
from slash80.node import Lately, Node
from slash80.store.locks import AttachmentLocks
from slash80.store.sqlite import SqliteStore
from unit.builders import attachment
from unit.kernels import Kernel
from unit.wiring.plans import link


def test_what_was_found_is_believed_for_a_moment(mocker: MockerFixture) -> None:
    """A tenth of a second later it is looked at again."""
    clock = mocker.patch("slash80.node.time.monotonic", return_value=5.0)
    lately, answers = Lately(), iter([1500, 9000])

    assert [1500, 1500] == [lately.get("mtu", lambda: next(answers)) for _ in range(2)]
    clock.return_value = 5.2
    assert 9000 == lately.get("mtu", lambda: next(answers))


def test_one_finding_does_not_stand_for_another() -> None:
    """Each has its name."""
    lately = Lately()

    assert (1, 2) == (lately.get(("a", 4), lambda: 1), lately.get(("a", 6), lambda: 2))


def test_a_failure_is_found_out_again() -> None:
    """What could not be done must be tried by the next call."""
    lately, tries = Lately(), []

    def find() -> None:
        tries.append(1)
        raise OSError("no")

    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            lately.get("mtu", find)
    assert 2 == len(tries)


@pytest.mark.parametrize("verb", ["DEL", "GC"])
def test_addresses_whose_connections_stay_are_not_given_again(mocker: MockerFixture, tmp_path: Path, verb: str) -> None:
    """Only a DEL passes it over; they are let go as soon as their connections can be deleted."""
    store = SqliteStore(tmp_path / "state", survey=list, timeout=5, clock=lambda: 2000.0)
    node = Node(
        Kernel({}), InstalledTable(), store=store, locks=AttachmentLocks(tmp_path / "state", 5), lately=Lately()
    )
    forget = mocker.patch("slash80.node.conntrack.forget", side_effect=FirewallUnusable("no"))
    one = attachment()
    store.keep(one)
    if verb == "DEL":
        node.put_aside(one.key, None)
    else:
        with pytest.raises(FirewallUnusable):
            node.remove(one.host_ifname)

    assert [State.DYING] == [left.state for left in store.attachments()]
    with pytest.raises(FirewallUnusable):
        node.reap()
    forget.side_effect = None
    node.reap()
    assert mocker.call(list(one.assignment.addresses)) == forget.call_args
    assert [] == store.attachments()


def test_an_address_is_not_let_go_while_its_link_is_there(mocker: MockerFixture, tmp_path: Path) -> None:
    """Though it was not seen among all links, as happens where those come and go."""
    store = SqliteStore(tmp_path / "state", survey=list, timeout=5, clock=lambda: 2000.0)
    links: dict[str, int | list[bytes]] = {f"ip link show {attachment(1).dying_name}": [link(attachment(1).dying_name)]}
    node = Node(
        Kernel(links), InstalledTable(), store=store, locks=AttachmentLocks(tmp_path / "state", 5), lately=Lately()
    )
    mocker.patch("slash80.node.conntrack.forget")
    for number in (1, 2):
        store.keep(attachment(number))
        store.doom(attachment(number).host_ifname)
    node.reap()

    assert [attachment(1).key] == [left.key for left in store.attachments()]


def test_the_dead_are_released_when_their_connections_are_forgotten(mocker: MockerFixture, tmp_path: Path) -> None:
    """All together, and none that somebody works on."""
    store = SqliteStore(tmp_path / "state", survey=list, timeout=5, clock=lambda: 2000.0)
    node = Node(
        Kernel({}), InstalledTable(), store=store, locks=AttachmentLocks(tmp_path / "state", 5), lately=Lately()
    )
    others = AttachmentLocks(tmp_path / "state", 5)
    forget = mocker.patch("slash80.node.conntrack.forget")
    for number in (1, 2, 3):
        store.keep(attachment(number))
    with others.held(attachment(2).host_ifname):
        assert 2 == node.release_dead()

    (addresses,) = forget.call_args.args
    assert {*attachment(1).assignment.addresses, *attachment(3).assignment.addresses} == set(addresses)
    assert [attachment(2)] == store.attachments()
