"""How many of a node's addresses are in which state, counted as the store has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from slash80.addressing.choose import HARD_REST
from slash80.addressing.family import Family, family_of
from slash80.addressing.pool import Pool
from slash80.host.context import Host, boottime


@dataclass(frozen=True, slots=True)
class AddressCounts:
    """A family's addresses; those that are `cooling` rest after their release, the `dying` ones are being removed."""

    family: Family
    free: int
    allocated: int
    cooling: int
    dying: int


def counted(host: Host, pools: Iterable[Pool]) -> tuple[tuple[AddressCounts, ...], int]:
    """Return the counts of these pools, and how often an address was reused early."""
    every = tuple(pools)
    since = boottime() - HARD_REST
    found, early = host.store.read(lambda of: ([of.counts(pool, since) for pool in every], of.early_reuses()))
    leaving = [address for one in host.store.terminating() for address in one.assignment.addresses]
    counts = []
    for pool, count in zip(every, found, strict=True):
        dying = sum(family_of(one) is pool.family and pool.prefix_of(one) is not None for one in leaving)
        dying = min(dying, count.allocated)  # one may have gone between the two questions
        free = max(0, pool.total - count.allocated - count.cooling)
        counts.append(AddressCounts(pool.family, free, count.allocated - dying, count.cooling, dying))
    return tuple(counts), early
