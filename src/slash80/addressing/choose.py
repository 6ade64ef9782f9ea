"""Which free addresses an attachment gets, decided over a ledger of what is in use.

IPv4 is handed out in order: addresses never used first, then those released longest ago. IPv6 follows the suffix mode.
An address that another pod had is wanted back by late packets and stale caches, so it rests: `cooldown` seconds if
there is a choice, HARD_REST seconds as long as any other is left. To refuse a pod would be worse than a short rest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from slash80.addressing import suffix
from slash80.addressing.attachment import Assignment, Key
from slash80.addressing.family import IPV4, IPV6, Address, Family
from slash80.addressing.mac import Mac
from slash80.addressing.occupied import Occupied
from slash80.addressing.pool import Pool, Range
from slash80.addressing.suffix import Suffix
from slash80.errors import BelongsToAnother, InvalidConfig, NoFreeAddress

HARD_REST = 30.0
_ATTEMPTS = 64  # hashes tried before a nearly full pool is searched in order
# The choice is made under the store's lock, for which every call of the node waits.
_CANDIDATES = 256  # unused addresses tried
_LOOKS = 4096  # addresses looked at in all


class AddressHeld(BelongsToAnother):
    """An attachment has what was asked for; it may be one that is dying."""


@dataclass(frozen=True, slots=True)
class Use:
    """What the ledger knows of an address: held by a host end, or released at a boottime in seconds."""

    holder: str | None
    released: float = 0.0


@dataclass(frozen=True, slots=True)
class Counts:
    """How many addresses of a pool are allocated, and how many rest since the given moment."""

    allocated: int
    cooling: int


class Ledger(Protocol):
    """What the choice may know about addresses already in use."""

    def use(self, address: Address) -> Use | None:
        """Return whether an address is held or was released; None if it is not known."""

    def unused(self, within: Range, without: Sequence[Range] = ()) -> Iterator[Address]:
        """Return the addresses that are not known at all and in none of the ranges `without`, in order, lazily."""

    def spent(self, within: Range) -> bool:
        """Report whether the last search found that all are known."""

    def released(self, pool: Pool) -> Iterable[tuple[Address, float]]:
        """Return the released addresses of a pool with their boottime of release, longest ago first."""

    def counts(self, pool: Pool, since: float) -> Counts:
        """Count what is allocated, and what was released after the boottime `since`."""


@dataclass(frozen=True)
class Wanted:
    """What an attachment needs: the pools of its families (in any order), the mode, and what was asked for.

    `elsewhere` are addresses that lead somewhere already, whatever the ledger says. `boottime_ns` is the moment of the
    ADD.
    """

    key: Key
    pools: Mapping[Family, Pool]
    mode: Suffix
    boottime_ns: int
    cooldown: float
    mac: Mac | None = None
    requested: Mapping[Family, Address] = field(default_factory=dict)
    occupied: Occupied = field(default_factory=Occupied)


@dataclass(frozen=True, slots=True)
class _Choice:
    address: Address
    early: bool = False


def choose(wanted: Wanted, ledger: Ledger, secret: bytes) -> Assignment:
    """Decide addresses and MAC; raise NoFreeAddress, or BelongsToAnother where something else has the addresses."""
    return _Chooser(wanted, ledger, secret).decide()


class _Chooser:
    """One decision: what is wanted, the ledger, and the secret, so that the steps below need not hand them round."""

    def __init__(self, wanted: Wanted, ledger: Ledger, secret: bytes) -> None:
        self._wanted, self._ledger, self._secret = wanted, ledger, secret
        self._now = wanted.boottime_ns / 1e9
        self._elsewhere, self._looks = wanted.occupied, 0

    def decide(self) -> Assignment:
        for family, pool in self._wanted.pools.items():
            if family not in self._wanted.requested and self._elsewhere.ranges:
                self._elsewhere.left_of(pool)
        ipv4 = self._ipv4() if IPV4 in self._wanted.pools else None
        ipv6, mac = (
            self._ipv6(ipv4.address if ipv4 else None) if IPV6 in self._wanted.pools else (None, self._hashed(0))
        )
        return Assignment(
            ipv4=ipv4.address if ipv4 and isinstance(ipv4.address, IPv4Address) else None,
            ipv6=ipv6.address if ipv6 and isinstance(ipv6.address, IPv6Address) else None,
            mac=self._wanted.mac or mac,
            early=sum(choice.early for choice in (ipv4, ipv6) if choice),
        )

    def _hashed(self, attempt: int) -> Mac:
        key, boottime_ns = self._wanted.key, self._wanted.boottime_ns
        return suffix.unique(self._secret, key, boottime_ns=boottime_ns, attempt=attempt)

    def _ipv4(self) -> _Choice:
        """Choose the IPv4; where the IPv6 follows from it, one whose IPv6 is free as well."""
        pool = self._wanted.pools[IPV4]
        if IPV4 in self._wanted.requested:
            return self._requested(pool)
        if self._wanted.mode not in {Suffix.IPV4, Suffix.HASH} or IPV6 in self._wanted.requested:
            return self._in_order(pool)
        if IPV6 not in self._wanted.pools:
            return self._in_order(pool)
        return self._in_order(pool, lambda ipv4: self._suffixed(ipv4) is not None)

    def _ipv6(self, ipv4: Address | None) -> tuple[_Choice, Mac]:
        """Choose the IPv6 and the MAC that goes with it."""
        pool = self._wanted.pools[IPV6]
        if IPV6 in self._wanted.requested:
            return self._requested(pool), next(self._macs(ipv4))
        if found := self._suffixed(ipv4):
            return found
        if self._wanted.mode is Suffix.UNIQUE:
            return self._in_order(pool), self._hashed(0)
        msg = f"the IPv6 address that '{self._wanted.mode}' asks for is in use or reserved in {pool}"
        there = self._elsewhere.told(pool)
        raise AddressHeld(f"{msg}{f' ({there})' if there else ''}; ask for another")

    def _suffixed(self, ipv4: Address | None) -> tuple[_Choice, Mac] | None:
        """Return the first free IPv6 that the suffix mode allows."""
        pool = self._wanted.pools[IPV6]
        rest = self._wanted.cooldown if self._wanted.mode is Suffix.UNIQUE else 0
        for mac in self._macs(ipv4):
            for prefix in pool.prefixes:
                address = suffix.address_of(prefix, mac)
                if self._free(pool, address, rest):
                    return _Choice(address), mac
        return None

    def _macs(self, ipv4: Address | None) -> Iterator[Mac]:
        """Return the suffixes that the mode allows, the preferred one first."""
        wanted = self._wanted
        if wanted.mode is Suffix.UNIQUE:
            return (self._hashed(n) for n in range(_ATTEMPTS))
        if wanted.mode is Suffix.MAC:
            if wanted.mac is None:
                msg = "ipv6.suffix is 'mac' but no MAC was given; pass one by the mac capability or CNI_ARGS MAC="
                raise InvalidConfig(msg)
            return iter([wanted.mac])
        if not isinstance(ipv4, IPv4Address):
            msg = f"ipv6.suffix is '{wanted.mode}' but the pod gets no IPv4; use 'unique' or give it one"
            raise InvalidConfig(msg)
        if wanted.mode is Suffix.IPV4:
            return iter([suffix.embedded(ipv4)])
        return (suffix.of_ipv4(self._secret, ipv4, n) for n in range(_ATTEMPTS))

    def _requested(self, pool: Pool) -> _Choice:
        address = self._wanted.requested[pool.family]
        if reason := pool.why_not(address):
            msg = f"requested address {address} cannot be given: {reason}; ask for another or extend the prefixes"
            raise InvalidConfig(msg)
        use = self._ledger.use(address)
        if use and use.holder:
            msg = f"requested address {address} is in use by attachment {use.holder}"
            raise AddressHeld(f"{msg}; delete that or ask for another address")
        if words := self._elsewhere.why(address):
            msg = f"requested address {address} cannot be given: {words}"
            raise BelongsToAnother(f"{msg}; delete what is in the way, or ask for another address")
        return _Choice(address, early=bool(use and self._now - use.released < self._wanted.cooldown))

    def _in_order(self, pool: Pool, fits: Callable[[Address], bool] = lambda _: True) -> _Choice:
        """Take the first address never used, else the one released longest ago."""
        short = pool
        for address, released in self._candidates(pool):
            if self._unfit(pool, address):
                continue
            if fits(address):
                return _Choice(address, early=self._now - released < self._wanted.cooldown)
            short = self._wanted.pools[IPV6]
        raise self._none_free(short)

    def _unfit(self, pool: Pool, address: Address) -> str:
        """Return why an address is not handed out; raise NoFreeAddress when too many were looked at."""
        self._looks += 1
        if self._looks > _LOOKS:
            raise self._none_free(pool)
        return pool.why_not(address) or self._elsewhere.why(address)

    def _none_free(self, pool: Pool) -> NoFreeAddress:
        """Return the error for an exhausted pool; raise BelongsToAnother when it is not pods that have it."""
        self._elsewhere.left_of(pool)
        msg = exhausted(pool, self._ledger.counts(pool, self._now - HARD_REST))
        there = self._elsewhere.told(pool)
        return NoFreeAddress(f"{msg}; besides, {there}" if there else msg)

    def _candidates(self, pool: Pool) -> Iterator[tuple[Address, float]]:
        """Return addresses with the boottime of their release, which for those never used is long ago.

        A range in which all are known is searched after those that have had their rest: that takes 1 us for each
        address in it, at each ADD, and it takes an hour until one is unknown again.
        """
        spent = [within for within in pool.ranges if self._ledger.spent(within)]
        yield from self._fresh(within for within in pool.ranges if within not in spent)
        released, resting = iter(self._ledger.released(pool)), []
        for address, since in released:
            if self._now - since < HARD_REST:
                resting.append((address, since))
                break
            yield address, since
        yield from self._fresh(spent)
        yield from itertools.chain(resting, released)

    def _fresh(self, ranges: Iterable[Range]) -> Iterator[tuple[Address, float]]:
        without = self._elsewhere.ranges
        unused = itertools.chain.from_iterable(self._ledger.unused(within, without) for within in ranges)
        return ((address, -math.inf) for address in itertools.islice(unused, _CANDIDATES))

    def _free(self, pool: Pool, address: Address, rest: float) -> bool:
        if self._unfit(pool, address):
            return False
        use = self._ledger.use(address)
        return not (use and (use.holder or self._now - use.released < rest))


def exhausted(pool: Pool, counts: Counts) -> str:
    """Return the error for an exhausted pool: family, prefixes, counts, next step."""
    return (
        f"no free {pool.family} address in {pool}: {counts.allocated} allocated, {counts.cooling} cooling down after "
        f"release, {pool.total} in total; delete pods or add a prefix to {pool.family.key}.prefixes"
    )
