"""The choice of addresses: by example, and for any node, any pods and any time."""

import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pytest_mock import MockerFixture

from profiles import examples
from slash80.addressing import suffix
from slash80.addressing.attachment import Assignment, Attachment, Key
from slash80.addressing.choose import Wanted, choose
from slash80.addressing.family import IPV4, IPV6, Address, Family, Prefix, family_of
from slash80.addressing.mac import Mac
from slash80.addressing.occupied import Occupied
from slash80.addressing.pool import Pool, Range
from slash80.addressing.suffix import Suffix
from slash80.errors import BelongsToAnother, CniError, InvalidConfig, NoFreeAddress
from slash80.settings.values import _SUFFIX_ROOM
from slash80.store.api import Store
from slash80.store.sqlite import SqliteStore
from unit.builders import MAC, attachment
from unit.store.memory import MemoryStore
from unit.store.reserving import reserve

POOL4 = Pool(IPV4, (ip_network("10.80.1.0/29"),))
POOL6 = Pool(IPV6, (ip_network("2001:db8:0:1:1::/80"),))
START = 1000.0


def _elsewhere(addresses: Iterable[Address]) -> Occupied:
    return Occupied({Range(address, address): "the node has it" for address in addresses})


class Node:
    """A store with a clock of its own, and what attaches to it."""

    def __init__(self, store: Callable[[Callable[[], float]], Store] = MemoryStore, **wanted: Any) -> None:  # noqa: ANN401 -- the fields of Wanted
        self.now = START
        self.store = store(lambda: self.now)
        self.pods = 0
        self._wanted = {"pools": {IPV4: POOL4, IPV6: POOL6}, "mode": Suffix.UNIQUE, "cooldown": 130.0, **wanted}

    def attach(self, **wanted: Any) -> Attachment:  # noqa: ANN401 -- the fields of Wanted
        """Attach one more pod."""
        self.pods += 1
        key = Key(f"pod{self.pods}", "eth0")
        whole = Wanted(**{"key": key, "boottime_ns": int(self.now * 1e9), **self._wanted, **wanted})
        draft = attachment(key=key, assignment=Assignment(None, None, None))
        return reserve(self.store, draft, lambda ledger, secret, _known: choose(whole, ledger, secret))

    def ipv4(self, **wanted: Any) -> str:  # noqa: ANN401 -- the fields of Wanted
        """Attach one more pod and return its IPv4."""
        return str(self.attach(**wanted).assignment.ipv4)


def test_unused_addresses_are_handed_out_first_and_in_order() -> None:
    """A released address is not handed out until all others were used."""
    node = Node()
    first = node.attach()
    node.store.release(first.host_ifname)
    node.now += 1000

    assert [f"10.80.1.{n}" for n in (2, 3, 4, 5, 6, 1)] == [node.ipv4() for _ in range(6)]


def test_address_released_longest_ago_is_handed_out_next() -> None:
    """Once every address was used, the one released longest ago comes next: late packets have had the most time."""
    node = Node()
    pods = [node.attach() for _ in range(6)]
    for index in (4, 0, 2):
        node.now += 1
        node.store.release(pods[index].host_ifname)
    node.now += 200

    assert ["10.80.1.5", "10.80.1.1", "10.80.1.3"] == [node.ipv4() for _ in range(3)]


def test_unused_address_is_found_after_a_search_found_none(tmp_path: Path) -> None:
    """An address that an ADD returned unused is found again while all released ones are still resting."""

    def on_disk(clock: Callable[[], float]) -> Store:
        return SqliteStore(tmp_path / "state", survey=list, timeout=5, clock=clock)

    node = Node(on_disk)
    pods = [node.attach() for _ in range(6)]
    with pytest.raises(NoFreeAddress):
        node.attach()
    node.store.release(pods[4].host_ifname)
    node.store.release(pods[3].host_ifname, rest=False)

    assert "10.80.1.4" == node.ipv4()
    node.now += 200
    assert "10.80.1.5" == node.ipv4()


@pytest.mark.parametrize(("rest", "early"), [(0, 1), (30, 1), (129.9, 1), (130, 0), (500, 0)])
def test_reuse_before_the_cooldown_is_counted(rest: float, early: int) -> None:
    """Without a choice an address is handed out before its cooldown, and the early reuse is counted."""
    node = Node()
    released = [node.attach() for _ in range(6)][3]
    node.store.release(released.host_ifname)
    node.now += rest

    assert (released.assignment.ipv4, early) == (
        (found := node.attach().assignment).ipv4,
        found.early,
    )


def test_no_address_is_reused_within_30_seconds_while_another_is_left() -> None:
    """An address that was returned unused is preferred to one released less than 30 s ago."""
    node = Node()
    pods = [node.attach() for _ in range(6)]
    node.store.release(pods[2].host_ifname)
    node.store.release(pods[3].host_ifname, rest=False)
    node.now += 29.9

    assert "10.80.1.4" == node.ipv4()


def test_resting_addresses_are_handed_out_before_a_pod_is_refused() -> None:
    """The address released longest ago is handed out first, and each is counted as early reuse."""
    node = Node()
    pods = [node.attach() for _ in range(6)]
    for index in (4, 0, 2):
        node.now += 1
        node.store.release(pods[index].host_ifname)

    found = [node.attach().assignment for _ in range(3)]
    assert [("10.80.1.5", 1), ("10.80.1.1", 1), ("10.80.1.3", 1)] == [(str(one.ipv4), one.early) for one in found]


def test_full_pool_error_has_family_prefix_and_counts() -> None:
    """The error of an exhausted pool names family, prefix, all counts and what to do."""
    node = Node()
    for _ in range(6):
        node.attach()

    told = "6 allocated, 0 cooling down after release, 6 in total; delete pods or add a prefix to ipv4.prefixes"
    with pytest.raises(NoFreeAddress, match=f"^no free IPv4 address in 10.80.1.0/29: {told}$"):
        node.attach()


def test_requested_address_needs_no_rest() -> None:
    """A pod that requests an address by name, as a restarted virtual machine does, gets it back at once."""
    node = Node()
    wish = {IPV4: ip_address("10.80.1.5")}
    node.store.release(node.attach(requested=wish).host_ifname)

    assert "10.80.1.5" == node.ipv4(requested=wish)


@pytest.mark.parametrize(
    ("address", "kind", "reason"),
    [
        ("10.80.1.0", InvalidConfig, "network address"),
        ("10.80.2.1", InvalidConfig, "outside 10.80.1.0/29"),
        ("2001:db8:0:1:1::", InvalidConfig, "anycast"),
        ("10.80.1.1", BelongsToAnother, "attachment s80"),
        ("10.80.1.6", BelongsToAnother, "the node has it"),
    ],
)
def test_unavailable_requested_address_is_refused(address: str, kind: type[CniError], reason: str) -> None:
    """A requested address outside the pool or reserved is code 7; one in use is code 102 and names the holder."""
    node = Node(occupied=_elsewhere({ip_address("10.80.1.6")}))
    node.attach()
    wish = ip_address(address)

    with pytest.raises(kind, match=f"requested address {address} .*{reason}"):
        node.attach(requested={family_of(wish): wish})


def test_unique_address_ends_with_the_mac() -> None:
    """In a /80 the last 48 bits of a unique IPv6 address are the pod's MAC."""
    found = Node().attach().assignment

    assert found.ipv6 is not None
    assert found.mac == Mac(int(found.ipv6) & 2**48 - 1)


@pytest.mark.parametrize("mode", [Suffix.UNIQUE, Suffix.HASH, Suffix.IPV4])
def test_requested_mac_does_not_change_the_ipv6(mode: Suffix) -> None:
    """In every mode but `mac`, a requested MAC is set on the link and the IPv6 address does not follow it."""
    found = Node(mode=mode).attach(mac=MAC).assignment

    assert MAC == found.mac
    assert found.ipv6 != suffix.address_of(POOL6.prefixes[0], MAC)


@pytest.mark.parametrize("mode", Suffix)
def test_requested_ipv6_does_not_change_the_mac(mode: Suffix) -> None:
    """With a requested IPv6 the MAC is still the one of the mode, even if the mode's own source is missing."""
    wish = ip_address("2001:db8:0:1:1::77")
    found = Node(mode=mode, mac=MAC if mode is Suffix.MAC else None).attach(requested={IPV6: wish}).assignment

    assert (wish, True) == (found.ipv6, found.mac is not None and found.mac.is_usable)


@pytest.mark.parametrize(
    ("mode", "pools"), [(Suffix.MAC, (POOL4, POOL6)), (Suffix.IPV4, (POOL6,)), (Suffix.HASH, (POOL6,))]
)
def test_suffix_mode_without_its_source_is_code_7(mode: Suffix, pools: tuple[Pool, ...]) -> None:
    """Mode `mac` without a MAC, or a mode that needs IPv4 in a pod that refuses it, is code 7 with what to do."""
    with pytest.raises(InvalidConfig, match=f"'{mode}' but"):
        Node(mode=mode, pools={pool.family: pool for pool in pools}).attach()


def test_mac_in_use_is_refused_in_mode_mac() -> None:
    """In mode `mac` a MAC in use has no second address, so the pod is refused."""
    node = Node(mode=Suffix.MAC, mac=MAC)
    node.attach()

    with pytest.raises(BelongsToAnother, match="'mac'"):
        node.attach()


@pytest.mark.parametrize("mode", [Suffix.IPV4, Suffix.HASH])
def test_ipv4_whose_embedded_ipv6_is_taken_is_skipped(mode: Suffix) -> None:
    """Both addresses follow from one number, so the next number is tried."""
    node = Node(mode=mode)
    first = node.attach(requested={IPV4: ip_address("10.80.1.1")}).assignment.ipv6
    assert first is not None

    other = Node(
        mode=mode,
        occupied=_elsewhere({first, suffix.address_of(POOL6.prefixes[0], suffix.embedded(IPv4Address("10.80.1.1")))}),
    )
    assert ("10.80.1.2" if mode is Suffix.IPV4 else "10.80.1.1") == other.ipv4()


def test_second_prefix_is_used_when_the_first_is_full() -> None:
    """Prefixes are used in their order."""
    pool = Pool(IPV4, (ip_network("10.80.9.0/30"), ip_network("10.80.1.0/30")))

    node = Node(pools={IPV4: pool})
    assert ["10.80.9.1", "10.80.9.2", "10.80.1.1"] == [node.ipv4() for _ in range(3)]


ROUTE = "route 10.80.1.0/30 dev br0 proto kernel leads there"


def test_part_of_a_prefix_routed_elsewhere_is_skipped() -> None:
    """Addresses that another route covers are not handed out, at either end of the prefix."""
    for left_out, expected in (("10.80.1.0/30", (4, 5, 6)), ("10.80.1.4/30", (1, 2, 3))):
        node = Node(occupied=Occupied({Range.of(ip_network(left_out)): ROUTE}))

        assert [f"10.80.1.{last}" for last in expected] == [node.ipv4() for _ in expected]


def test_prefix_routed_elsewhere_is_refused_with_the_route() -> None:
    """The error names the route and the key instead of an exhausted pool; another prefix beside it is still used."""
    left_out = Occupied({Range.of(ip_network("10.80.1.0/29")): ROUTE})
    with pytest.raises(BelongsToAnother, match=f"^no address of 10.80.1.0/29 .*{ROUTE}; .* change ipv4.prefixes$"):
        Node(occupied=left_out).attach()

    pool = Pool(IPV4, (ip_network("10.80.1.0/29"), ip_network("10.80.9.0/29")))
    assert "10.80.9.1" == Node(occupied=left_out, pools={IPV4: pool}).ipv4()


@pytest.mark.parametrize("mode", [Suffix.HASH, Suffix.IPV4, Suffix.UNIQUE])
def test_large_prefix_routed_elsewhere_is_refused_at_once(mode: Suffix) -> None:
    """No single address is looked at: each would cost a request under the store's lock."""
    node = Node(mode=mode, occupied=Occupied({Range.of(POOL6.prefixes[0]): "route local leads there"}))
    with pytest.raises(BelongsToAnother, match=r"no address of 2001:db8:0:1:1::/80 .*ipv6\.prefixes"):
        node.attach(pools={IPV4: Pool(IPV4, (ip_network("10.0.0.0/8"),)), IPV6: POOL6})


def test_exhausted_pool_names_the_routes_that_exclude_addresses() -> None:
    """The counts of an exhausted pool alone would not add up, so the message names the excluding routes."""
    node = Node(occupied=Occupied({Range.of(ip_network("10.80.1.0/30")): ROUTE}))
    for _ in range(3):
        node.attach()

    with pytest.raises(NoFreeAddress, match=f"3 allocated, 0 cooling .* 6 in total; .*; besides, {ROUTE}$"):
        node.attach()


def test_requested_address_routed_elsewhere_names_the_route() -> None:
    """A requested address that a route covers is refused with that route, even if the whole prefix is covered."""
    node = Node(occupied=Occupied({Range.of(POOL4.prefixes[0]): ROUTE}))
    with pytest.raises(BelongsToAnother, match=f"requested address 10.80.1.2 cannot be given: {ROUTE}"):
        node.attach(requested={IPV4: ip_address("10.80.1.2")})


def test_choice_looks_at_a_bounded_number_of_addresses(mocker: MockerFixture) -> None:
    """Any ledger and any other limit leave the number of candidates below the bound of one choice."""
    mocker.patch("slash80.addressing.choose._LOOKS", 50)
    node = Node(cooldown=30.0, pools={IPV4: Pool(IPV4, (ip_network("10.80.0.0/16"),))})
    fresh = mocker.patch.object(MemoryStore, "unused", side_effect=lambda *_: iter([ip_address("10.9.0.1")] * 100))

    with pytest.raises(NoFreeAddress):
        node.attach()
    assert fresh.called


MACS = st.integers(0, 2**48 - 1).map(Mac.local)
OFFSETS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=3)
LENGTHS4 = st.integers(8, 30) | st.integers(28, 30)


def _prefixes(draw: st.DrawFn, base: str, lengths: st.SearchStrategy[int], *, least: int) -> tuple[Prefix, ...]:
    """Return up to two prefixes that do not overlap."""
    start = ip_address(base)
    found = draw(st.lists(lengths, min_size=least, max_size=2))
    return tuple(ip_network((int(start) + n * 2 ** (start.max_prefixlen // 2 + 8), k)) for n, k in enumerate(found))


@st.composite
def configurations(draw: st.DrawFn) -> tuple[Suffix, dict[Family, Pool]]:
    """Return any mode with any pools that it may have."""
    mode = draw(st.sampled_from(Suffix))
    tied = mode in {Suffix.IPV4, Suffix.HASH}
    four = _prefixes(draw, "32.0.0.0", LENGTHS4, least=tied)
    lengths6 = st.sampled_from(sorted({64, 80, _SUFFIX_ROOM[mode], min(_SUFFIX_ROOM[mode], 119)}))
    six = _prefixes(draw, "2001:db8::", lengths6, least=0 if four else 1)
    excluded, edges = draw(OFFSETS), draw(st.booleans())
    pools: dict[Family, Pool] = {}
    for family, prefixes in ((IPV4, four), (IPV6, six)):
        ranges = [(p, low, low + n) for p in prefixes for low, n in excluded if low + n < p.num_addresses]
        exclude = tuple(Range(p[low], p[high]) for p, low, high in ranges)
        pools |= {family: Pool(family, prefixes, exclude, edges)} if prefixes else {}
    return mode, pools


class AnyNode(RuleBasedStateMachine):
    """Any configuration, any sequence of attaching, releasing and waiting: what must hold for every address given."""

    def __init__(self) -> None:
        super().__init__()
        self.node = Node()
        self.live: dict[str, Attachment] = {}
        self.released: dict[Address, float] = {}
        self.own: set[Address] = set()
        self.pools: dict[Family, Pool] = {}

    def make_store(self) -> Store:
        """Return the store, which reads this machine's clock."""
        return MemoryStore(lambda: self.node.now)

    @initialize(
        configuration=configurations(),
        own=st.sets(st.integers(0, 20), max_size=3),
        cooldown=st.sampled_from([30.0, 130.0, 300.0]),
    )
    def configure(self, configuration: tuple[Suffix, dict[Family, Pool]], own: set[int], cooldown: float) -> None:
        """Start a node that has some of its prefixes' addresses itself."""
        self.mode, self.pools = configuration
        prefixes = [prefix for pool in self.pools.values() for prefix in pool.prefixes]
        self.own = {prefix[n] for prefix in prefixes for n in own if n < prefix.num_addresses}
        self.node = Node(pools=self.pools, mode=self.mode, cooldown=cooldown, occupied=_elsewhere(self.own))
        self.node.store = self.make_store()
        self.cooldown = cooldown

    @rule(seconds=st.sampled_from([0.5, 10, 31, 140, 1000]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.node.now += seconds

    @rule(macs=st.lists(MACS, min_size=1, max_size=6))
    def attach(self, macs: list[Mac]) -> None:
        """Attach some pods without a request; only a node with nothing left may refuse."""
        for mac in macs:
            try:
                made = self.node.attach(mac=mac if self.mode is Suffix.MAC else None)
            except NoFreeAddress as error:
                self.justify_full(error)
            except BelongsToAnother:
                assert self.mode is Suffix.MAC or self.node_has_all()
            else:
                self.judge(made, set())

    @rule(index=st.integers(0, 2), offset=st.integers(0, 30), mac=MACS, data=st.data())
    def attach_requested(self, index: int, offset: int, mac: Mac, data: st.DataObject) -> None:
        """Attach with one requested address, which is assigned or refused with the right error."""
        family = data.draw(st.sampled_from(sorted(self.pools, key=str)))
        prefix = self.pools[family].prefixes[index % len(self.pools[family].prefixes)]
        wish = prefix[0] + offset
        held = wish in self.own or any(wish in a.assignment.addresses for a in self.live.values())
        reserved = bool(self.pools[family].why_not(wish))
        try:
            made = self.node.attach(requested={family: wish}, mac=mac)
        except CniError as error:
            self.justify(error, wish, InvalidConfig if reserved else BelongsToAnother if held else AssertionError)
        else:
            assert (False, False, True) == (reserved, held, wish in made.assignment.addresses)
            self.judge(made, {wish})

    def justify(self, error: CniError, wish: Address, kind: type[Exception]) -> None:
        """An error about the requested address has its code; any other error is about the other family."""
        allowed = (kind,) if str(wish) in error.msg else (NoFreeAddress, BelongsToAnother)
        assert isinstance(error, allowed)

    @rule(which=st.lists(st.integers(0, 30), min_size=1, max_size=4))
    def release(self, which: list[int]) -> None:
        """Detach any pods."""
        for index in which:
            if self.live:
                name = sorted(self.live)[index % len(self.live)]
                self.node.store.release(name)
                self.released |= dict.fromkeys(self.live.pop(name).assignment.addresses, self.node.now)

    def judge(self, made: Attachment, wished: set[Address]) -> None:
        """Check what was assigned against every promise."""
        given = made.assignment
        assert set(self.pools) == {family_of(address) for address in given.addresses}
        for address in given.addresses:
            assert not self.pools[family_of(address)].why_not(address)
            assert address not in self.own
            assert not any(address in other.assignment.addresses for other in self.live.values())
        assert given.mac is not None
        assert 0x02 == given.mac.value >> 40 & 0x03
        if self.mode is Suffix.IPV4 and given.ipv6 and given.ipv6 not in wished:
            prefix = next(prefix for prefix in self.pools[IPV6].prefixes if given.ipv6 in prefix)
            assert given.ipv4 == suffix.embedded_ipv4(given.ipv6, prefix)
        self.judge_rest(given, wished)
        self.live[made.host_ifname] = made
        for address in given.addresses:
            self.released.pop(address, None)

    def judge_rest(self, given: Assignment, wished: set[Address]) -> None:
        """No address within 30 s while another is left, the longest released first, and early reuse is counted."""
        rests = {a: self.node.now - self.released[a] for a in given.addresses if a in self.released}
        if given.ipv4 in rests and given.ipv4 not in wished:
            assert rests[given.ipv4] >= 30 or not self.left(IPV4)
            others = [a for a in self.released if family_of(a) is IPV4 and a not in self.own and a != given.ipv4]
            if self.mode in {Suffix.UNIQUE, Suffix.MAC}:
                assert all(self.released[given.ipv4] <= self.released[other] for other in others)
        if self.mode is Suffix.UNIQUE and given.ipv6 in rests and given.ipv6 not in wished:
            assert rests[given.ipv6] >= 30 or not self.left(IPV6)
        counted = [a for a, rest in rests.items() if rest < self.cooldown and self.counts_early(a, wished)]
        assert len(counted) == given.early

    def node_has_all(self) -> bool:
        """Report whether every address of one family is the node's own."""
        own = [sum(not pool.why_not(address) for address in self.own) for pool in self.pools.values()]
        return any(pool.total <= count for pool, count in zip(self.pools.values(), own, strict=True))

    def left(self, family: Family) -> int:
        """Return how many rested addresses are free; of two that depend on each other one may block the other."""
        if self.mode in {Suffix.IPV4, Suffix.HASH}:
            return 0
        pool = self.pools[family]
        held = {address for other in self.live.values() for address in other.assignment.addresses}
        resting = {address for address, since in self.released.items() if self.node.now - since < 30}
        return pool.total - sum(
            not pool.why_not(address) for address in held | resting | self.own if address.version == family.version
        )

    def counts_early(self, address: Address, wished: set[Address]) -> bool:
        """An IPv6 that follows from something else is not a reuse that could have been postponed."""
        return address.version == 4 or address in wished or self.mode is Suffix.UNIQUE

    def justify_full(self, error: NoFreeAddress) -> None:
        """A node may report a full pool only if it is full; where families depend on each other, one blocks both."""
        family = IPV4 if "free IPv4" in error.msg else IPV6
        pool = self.pools[family]
        held = {a for other in self.live.values() for a in other.assignment.addresses if a.version == family.version}
        cooling = [a for a, at in self.released.items() if a.version == family.version and self.node.now - at < 30]
        assert f"{len(held)} allocated, {len(cooling)} cooling down after release, {pool.total} in total" in error.msg
        if self.mode in {Suffix.UNIQUE, Suffix.MAC}:
            own = {a for a in self.own if a.version == family.version and not pool.why_not(a)}
            assert (pool.total, []) == (len(held | own), [a for a in cooling if a not in own])

    @invariant()
    def each_pod_is_remembered(self) -> None:
        """The store and this model know the same attachments."""
        assert set(self.live) == {a.host_ifname for a in self.node.store.attachments()}


class AnySqliteNode(AnyNode):
    """The same over the real store."""

    def make_store(self) -> Store:
        """Return a store in a directory of its own."""
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name) / "state"
        return SqliteStore(path, survey=list, timeout=5, clock=lambda: self.node.now)

    def teardown(self) -> None:
        """Remove the directory."""
        with suppress(AttributeError):
            self.directory.cleanup()


TestAnyNode = AnyNode.TestCase
TestAnyNode.settings = settings(max_examples=examples(100), stateful_step_count=30)
TestAnySqliteNode = AnySqliteNode.TestCase
TestAnySqliteNode.settings = settings(max_examples=examples(15), stateful_step_count=30)
