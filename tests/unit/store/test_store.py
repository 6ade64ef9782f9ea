"""The contract of a store, held by the one on disk and the one in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from slash80.addressing.attachment import Assignment, Attachment, Key, Pod, State, hashed
from slash80.addressing.choose import Counts, Ledger, Use
from slash80.addressing.family import IPV4, IPV6, Prefix
from slash80.addressing.openings import Openings
from slash80.addressing.pool import Pool, Range
from slash80.store.api import Store
from slash80.store.sqlite import SqliteStore
from unit.builders import MAC, OPENINGS, attachment
from unit.store.memory import MemoryStore
from unit.store.reserving import Choose, reserve

NOTHING = Assignment(None, None, None)


@dataclass
class Clock:
    """A boottime that moves when it is told to; early enough that a node may just have booted."""

    now: float = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return the clock of the store."""
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Store:
    """Return each kind of store, empty."""
    if request.param == "memory":
        return MemoryStore(clock)
    return SqliteStore(tmp_path / "state", survey=list, timeout=5, clock=clock)


def test_early_reuse_is_counted(store: Store) -> None:
    """By how many addresses each attachment was given early, since the store was made."""
    assert 0 == store.read(lambda ledger: ledger.early_reuses())
    for number, early in ((1, 2), (2, 0), (3, 1)):
        made = attachment(number)
        reserve(store, made, always(replace(made, assignment=replace(made.assignment, early=early))))
    assert 3 == store.read(lambda ledger: ledger.early_reuses())


def always(given: Attachment) -> Choose:
    """Choose what an attachment has, whatever is in use."""
    return lambda _ledger, _secret, _known: given.assignment


def use(store: Store, address: object) -> Use | None:
    """Ask how an address is used."""
    return store.read(lambda ledger: ledger.use(ip_address(str(address))))


def test_empty_store_has_no_attachment(store: Store) -> None:
    """An unknown name is None, and releasing it is not an error."""
    store.release("s80aaaaaaaaaaaa")

    assert (None, []) == (store.get("s80aaaaaaaaaaaa"), store.attachments())


def test_reservation_holds_its_addresses(store: Store, clock: Clock) -> None:
    """The draft is stored with the chosen addresses, from the time of the reservation."""
    wanted = attachment()
    kept = reserve(store, replace(wanted, assignment=NOTHING), always(wanted))

    assert replace(wanted, since=clock.now) == kept == store.get(wanted.host_ifname)
    assert [wanted.host_ifname] * 2 == [getattr(use(store, a), "holder", "") for a in kept.assignment.addresses]


def test_openings_are_kept_with_their_attachment(store: Store) -> None:
    """Host ports of both families and exposed ports are read back as they were."""
    opened = attachment(openings=OPENINGS)
    store.keep(opened)

    assert opened == store.get(opened.host_ifname)
    assert [opened] == store.attachments()


def test_a_reservation_sees_living_attachments_with_openings(store: Store) -> None:
    """Those that are terminating have none any more, and those without are left out."""
    store.keep(attachment(1, openings=OPENINGS))
    store.keep(attachment(2))
    store.keep(attachment(3, openings=OPENINGS))
    assert replace(attachment(3, openings=OPENINGS), state=State.TERMINATING) == store.mark_terminating(
        attachment(3).host_ifname
    )

    with store.reservation(attachment(4)) as reservation:
        assert [attachment(1, openings=OPENINGS)] == list(reservation.opened())


def test_what_a_pod_may_open_is_changed_alone(store: Store) -> None:
    """One that is dying stays so, one that was added again keeps its own, and one that is gone does not come back."""
    closed, opened = Openings(expose=OPENINGS.expose), Openings(expose=OPENINGS.expose, expose_allowed=True)
    kept, again, gone = (attachment(number, openings=closed) for number in (1, 2, 3))
    for one in (kept, replace(again, since=again.since + 1)):
        store.keep(one)
    store.mark_terminating(kept.host_ifname)
    store.allow_expose([replace(one, openings=opened) for one in (kept, again, gone)])

    found = {one.host_ifname: one for one in store.attachments()}
    assert {kept.host_ifname: opened, again.host_ifname: closed} == {name: one.openings for name, one in found.items()}
    assert found[kept.host_ifname].state is State.TERMINATING


def test_choice_sees_held_addresses_and_the_secret(store: Store) -> None:
    """Both are read within the reservation's transaction, and the secret never changes."""
    store.keep(attachment(1))
    seen = []

    def choose(ledger: Ledger, secret: bytes, _known: Sequence[Attachment]) -> Assignment:
        seen.append((secret, ledger.use(ip_address("10.80.1.1"))))
        return NOTHING

    reserve(store, attachment(2), choose)
    reserve(store, attachment(3), choose)
    assert Use(attachment(1).host_ifname) == seen[0][1]
    assert (seen[0], True) == (seen[1], len(seen[0][0]) >= 16)


def test_choice_sees_the_other_attachments_of_the_container(store: Store) -> None:
    """It sees its own row and those of the container's other interfaces, and no others."""
    mine, other = attachment(1), attachment(2)
    second = attachment(3, key=replace(mine.key, ifname="net1"))
    for each in (mine, other, second):
        store.keep(each)
    seen: list[str] = []

    def choose(_ledger: Ledger, _secret: bytes, known: Sequence[Attachment]) -> Assignment:
        seen.extend(one.key.ifname for one in known)
        return NOTHING

    reserve(store, mine, choose)
    assert ["eth0", "net1"] == sorted(seen)


@pytest.mark.parametrize("read_back", ["eth0", "net1"])
def test_attachments_of_a_container_are_found_by_its_id_or_the_hash_of_it(store: Store, read_back: str) -> None:
    """A record that was read back from the kernel has a hash where the ID was too long for the link's alias."""
    plain = {name: Key("c" * 300, name) for name in ("eth0", "net1")}
    keys = plain | {read_back: Key(plain[read_back].container, read_back)}
    for number, (name, key) in enumerate(keys.items(), 1):
        store.keep(attachment(number, key=key, host_ifname=plain[name].host_ifname))
    store.keep(attachment(3))

    for key in (*keys.values(), *plain.values()):
        assert ["eth0", "net1"] == sorted(one.key.ifname for one in store.attachments(key))


def test_failed_choice_reserves_nothing(store: Store) -> None:
    """Any exception of the choice propagates, and no row is written."""

    def choose(_ledger: Ledger, _secret: bytes, _known: Sequence[Attachment]) -> Assignment:
        raise LookupError

    with pytest.raises(LookupError):
        reserve(store, attachment(), choose)
    assert [] == store.attachments()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"assignment": NOTHING, "netns": "", "pod": Pod()},
        {"assignment": Assignment(None, IPv6Address("2001:db8::5"), MAC)},
        {"key": Key("c" * 300, "\u00e4\u2003'\";--"), "state": State.PENDING},
    ],
)
def test_attachment_is_read_back_as_it_was_stored(store: Store, changes: dict[str, Any]) -> None:
    """Every field is read back, also unusual values."""
    kept = attachment(**changes)
    store.keep(kept)

    assert kept == store.get(kept.host_ifname)
    assert [kept] == store.attachments(kept.key)


def test_attachments_are_listed_oldest_first(store: Store) -> None:
    """They can be listed by container, without those of others."""
    young, old, other = (
        attachment(1, key=Key("a", "eth0"), since=3.0),
        attachment(2, key=Key("a", "eth1"), since=1.0),
        attachment(3, key=Key("b", "eth0"), since=2.0),
    )
    for each in (young, old, other):
        store.keep(each)

    assert [old, other, young] == store.attachments()
    assert ([old, young], []) == (store.attachments(Key("a", "")), store.attachments(Key("", "")))


def test_storing_an_attachment_again_replaces_it(store: Store) -> None:
    """A pending attachment becomes ready."""
    store.keep(attachment(state=State.PENDING))
    store.keep(attachment(state=State.READY))

    assert [attachment(state=State.READY)] == store.attachments()


def test_storing_an_attachment_takes_its_address_over(store: Store) -> None:
    """After a lost file the kernel knows better; releasing the earlier holder does not touch the address."""
    before, after = attachment(1), attachment(2, assignment=attachment(1).assignment)
    store.keep(before)
    store.keep(after)
    store.release(before.host_ifname)

    assert Use(after.host_ifname) == use(store, "10.80.1.1")


def test_released_addresses_begin_to_rest(store: Store, clock: Clock) -> None:
    """The attachment is forgotten, and its addresses keep the time of the release."""
    store.keep(attachment())
    clock.now = 500
    store.release(attachment().host_ifname)

    assert store.get(attachment().host_ifname) is None
    assert [Use(None, 500.0)] * 2 == [use(store, a) for a in attachment().assignment.addresses]


def test_unused_address_released_without_rest_is_unused(store: Store) -> None:
    """An attachment that never existed leaves its addresses unused."""
    reserve(store, attachment(), always(attachment()))
    store.release(attachment().host_ifname, rest=False)

    assert [None, None] == [use(store, a) for a in attachment().assignment.addresses]


def test_release_without_rest_keeps_an_earlier_rest(store: Store, clock: Clock) -> None:
    """An address that was resting before continues to rest from that time."""
    store.keep(attachment())
    store.release(attachment().host_ifname)
    clock.now = 300
    reserve(store, attachment(), always(attachment()))
    store.release(attachment().host_ifname, rest=False)

    assert Use(None, 100.0) == use(store, "10.80.1.1")


def test_unused_addresses_are_neither_held_nor_resting(store: Store) -> None:
    """They come in order, and are computed lazily."""
    for number in (2, 4, 5):
        store.keep(attachment(number))
    store.release(attachment(4).host_ifname)
    small, large = _range("10.80.1.1", "10.80.1.7"), _range("2001:db8::", "2001:db8:ffff::")

    assert [1, 3, 6, 7] == store.read(lambda ledger: [int(a) & 255 for a in ledger.unused(small)])
    without = [_range("10.80.1.5", "10.80.1.6"), _range("10.80.1.0", "10.80.1.2"), large]
    assert {3, 7} == set(store.read(lambda ledger: [int(a) & 255 for a in ledger.unused(small, without)]))
    assert ip_address("2001:db8::") == store.read(lambda ledger: next(iter(ledger.unused(large))))


def test_released_addresses_are_listed_longest_ago_first(store: Store, clock: Clock) -> None:
    """Each pool is listed separately; at the same time the numeric order decides."""
    for number in (9, 200, 3, 7, 100):
        store.keep(attachment(number))
    for now, number in ((105, 100), (110, 9), (120, 200), (120, 3)):
        clock.now = now
        store.release(attachment(number).host_ifname)

    expected = [("10.80.1.9", 110.0), ("10.80.1.3", 120.0), ("10.80.1.200", 120.0)]
    four = Pool(IPV4, (ip_network("10.80.1.0/27"), ip_network("10.80.1.128/25")))
    six = Pool(IPV6, (ip_network("2001:db8:0:1:1::/80"),))
    assert expected == [(str(a), at) for a, at in store.read(lambda ledger: list(ledger.released(four)))]
    assert 4 == len(store.read(lambda ledger: list(ledger.released(six))))


def test_counts_are_those_of_the_pool(store: Store, clock: Clock) -> None:
    """Addresses outside the pool or reserved are not counted; resting ones are counted since a given time."""
    for number in (1, 2, 3, 40, 255):
        store.keep(attachment(number))
    for now, number in ((110, 1), (200, 2)):
        clock.now = now
        store.release(attachment(number).host_ifname)
    pool = Pool(IPV4, (ip_network("10.80.1.0/27"), ip_network("10.80.1.128/25")))

    counts = store.read(lambda ledger: [ledger.counts(pool, since) for since in (50, 150, 300)])
    assert [Counts(1, 2), Counts(1, 1), Counts(1, 0)] == counts


def _range(first: str, last: str) -> Range:
    return Range(ip_address(first), ip_address(last))


def test_terminating_attachment_keeps_its_addresses(store: Store, clock: Clock) -> None:
    """Its link still exists, so its addresses are not handed out; once it is forgotten they begin to rest."""
    store.keep(attachment())
    store.mark_terminating(attachment().host_ifname)
    store.keep(attachment(2))
    dying = store.terminating()

    assert [(attachment().key, State.TERMINATING)] == [(one.key, one.state) for one in dying]
    assert attachment().host_ifname == getattr(use(store, "10.80.1.1"), "holder", None)
    clock.now += 1
    store.forget(dying)
    assert (Use(None, clock.now), [attachment(2)]) == (use(store, "10.80.1.1"), store.attachments())


def test_terminating_attachments_list_only_addresses_they_hold(store: Store) -> None:
    """Neither a new attachment of the same name nor one that got the address after a lost store counts."""
    for number in (1, 2, 3):
        store.keep(attachment(number))
    seen = store.attachments()
    store.keep(replace(attachment(2), since=seen[1].since + 1))
    store.keep(replace(attachment(4), assignment=attachment(3).assignment))

    assert list(attachment(1).assignment.addresses) == store.held(seen)
    assert [] == store.held([])


def test_attachment_created_again_is_not_forgotten(store: Store) -> None:
    """Neither a living attachment of the same name nor one that was terminated later is forgotten."""
    store.keep(attachment())
    store.mark_terminating(attachment().host_ifname)
    seen = store.attachments()
    store.keep(replace(attachment(), since=seen[0].since + 1))
    store.forget(seen)
    assert [State.READY] == [one.state for one in store.attachments()]

    store.mark_terminating(attachment().host_ifname)
    store.forget(seen)
    assert [State.TERMINATING] == [one.state for one in store.attachments()]


def test_terminating_an_unknown_attachment_is_not_an_error(store: Store) -> None:
    """Another process may have been faster to terminate or forget it."""
    store.mark_terminating("s80aaaaaaaaaaaa")
    store.forget([attachment()])

    assert [] == store.attachments()


def test_range_is_exhausted_when_every_address_was_used(store: Store) -> None:
    """It is not exhausted any more once an address that was returned unused is found."""
    within = _range("10.80.1.1", "10.80.1.2")
    for number in (1, 2):
        store.keep(attachment(number))

    def spent(ledger: Ledger) -> tuple[list[str], bool]:
        return list(map(str, ledger.unused(within))), ledger.spent(within)

    assert ([], True) == store.read(spent)
    store.release(attachment(2).host_ifname, rest=False)
    assert (["10.80.1.2"], False) == store.read(spent)


def test_search_for_unused_addresses_wraps_around(store: Store) -> None:
    """Addresses before the point where an earlier search stopped are found too."""
    within = Range(ip_address("0.0.0.0"), ip_address("0.0.0.9"))
    first = store.read(lambda ledger: list(islice(ledger.unused(within), 3)))
    again = store.read(lambda ledger: list(ledger.unused(within)))

    assert list(range(3)) == list(map(int, first))
    assert list(range(10)) == sorted(map(int, again))


def test_prefixes_of_a_network_are_those_of_its_last_add(store: Store) -> None:
    """A change is reported, and a network that was not used for an hour is forgotten."""
    old, new = ip_network("10.80.1.0/24"), ip_network("2001:db8:0:1:1::/80")

    def noted(now: float, network: str, *prefixes: Prefix) -> bool:
        return store.read(lambda register: register.note(network, prefixes, now))

    assert [True, False, True] == [noted(1, "a", old), noted(2, "a", old), noted(3, "a", new, old)]
    assert noted(4, "b", new)
    assert not noted(3000, "a", old, new)
    at = {now: store.read(lambda register, now=now: register.networks(now)) for now in (5, 4000, 8000)}  # type: ignore[misc]
    assert [{"a", "b"}, {"a"}, set()] == [set(found) for found in at.values()]
    assert {old, new} == set(at[5]["a"])


def test_network_with_pods_is_not_forgotten(store: Store) -> None:
    """A network read back from the kernel as a hash counts too; an unknown one stays unknown."""
    names = ["a", "long" * 50]
    for name in names:
        store.read(lambda register, name=name: register.note(name, [ip_network("10.80.1.0/24")], 1))  # type: ignore[misc]
    store.read(lambda register: register.refresh({"a", hashed(names[1]), "c"}, 3000))

    assert set(names) == set(store.read(lambda register: register.networks(5000)))


def test_prefix_is_in_use_while_an_attachment_has_its_address(store: Store) -> None:
    """Terminating attachments count, resting addresses do not."""
    store.keep(attachment(5))
    store.keep(attachment(9))
    store.release(attachment(9).host_ifname)
    store.mark_terminating(attachment(5).host_ifname)
    prefixes = [ip_network(f"10.80.1.{start}/29") for start in (0, 8, 16)] + [ip_network("2001:db8:0:1:1::/80")]

    assert [True, False, False, True] == store.read(lambda register: list(map(register.holds, prefixes)))
