"""What nodes claim, in groups that overlap: what has to be looked at again when a node has changed.

One kubelet speaks for one node. So a claim that holds claims of two others is not believed, however old its node is; it
is kept apart, where it joins no group. That bounds a group, too: to what two nodes may claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from slash80.addressing.family import Prefix
from slash80.cluster.objects.node import NodeSeen
from slash80.desired.problems import Problem
from slash80.desired.spans import Group, Groups


@dataclass(slots=True, eq=False)
class Claim:
    """A prefix that a node says it has; of two that overlap the first in rank is believed."""

    prefix: Prefix
    first: int
    last: int
    owner: NodeSeen
    rank: tuple[int, str, str, int]
    refusal: Problem | None = None


class Claims:
    """The claims of all nodes.

    `stale` are the groups that have to be judged again, `gone` those that are no more, `apart` the claims that were put
    apart; the judge has looked at them when it clears them.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._groups = Groups[Claim]()
        self._wide: dict[Claim, None] = {}
        self.stale: dict[Group[Claim], None] = {}
        self.gone: list[Group[Claim]] = []
        self.apart: list[Claim] = []

    def begin(self, claims: Iterable[Claim]) -> Sequence[Group[Claim]]:
        """Add the first claims; return the groups of those that are alone, which are not stale."""
        alone, contested = self._groups.begin(claims)
        for claim in contested:
            self.enter(claim)
        return alone

    def enter(self, claim: Claim) -> None:
        """Add a claim; those that now hold claims of two others are put apart."""
        if self._is_wide(claim):
            self._put_apart([claim])
        else:
            group, gone = self._groups.add(claim)
            self._replaced([group], gone)
        around = self.overlapping(claim.first, claim.last)
        wider = [one for one in around if one.owner.name != claim.owner.name and _is_within(claim, one)]
        if wide := [one for one in wider if self._is_wide(one)]:
            self._replaced(*self._groups.remove(wide))
            self._put_apart(wide)

    def withdraw(self, claims: Sequence[Claim]) -> None:
        """Remove claims; what no longer holds those of two others joins its group."""
        self._replaced(*self._groups.remove([claim for claim in claims if claim not in self._wide]))
        for claim in claims:
            self._wide.pop(claim, None)
        for claim in [*self._wide]:
            if not self._is_wide(claim):
                del self._wide[claim]
                self.enter(claim)

    def overlapping(self, first: int, last: int) -> Iterator[Claim]:
        """Yield the claims that overlap a span, but for those that were put apart."""
        return self._groups.meeting(first, last)

    def holding(self, place: int) -> Group[Claim] | None:
        """Return the group that has a number."""
        return self._groups.holding(place)

    def _is_wide(self, claim: Claim) -> bool:
        """Whether a claim holds claims of two other nodes."""
        one = ""
        for other in chain(self._wide, self._groups.meeting(claim.first, claim.last)):
            if _is_within(other, claim):
                name = other.owner.name
                if name not in (claim.owner.name, one):
                    if one:
                        return True
                    one = name
        return False

    def _put_apart(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            self._wide[claim] = None
            self.apart.append(claim)

    def _replaced(self, groups: Iterable[Group[Claim]], gone: Iterable[Group[Claim]]) -> None:
        for group in gone:
            self.stale.pop(group, None)
            self.gone.append(group)
        self.stale |= dict.fromkeys(groups)


def _is_within(claim: Claim, other: Claim) -> bool:
    """Whether a claim is a part of another one, and not all of it."""
    longer = claim.last - claim.first < other.last - other.first
    return longer and other.first <= claim.first and claim.last <= other.last
