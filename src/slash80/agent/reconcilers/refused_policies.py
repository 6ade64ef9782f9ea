"""Which policies a table is refused for: found by trying it without some of them, and nothing in force changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from slash80.policy.model import Policy

_ATTEMPTS = 60  # of 1,000 policies one that is refused takes eleven
_NOT_TRIED = "others were refused, and it was not found out in time whether this one is"
Refusal = Callable[[Collection[Policy]], str]


def refused(policies: Iterable[Policy], refusal: Refusal, *, attempts: int = _ATTEMPTS) -> Mapping[Policy, str]:
    """Return policies without whose rules the table is taken, each with the reason for which it is not with them.

    `refusal` returns why the table is refused when the rules of some policies are left out of it, which isolate their
    pods all the same; empty if it is taken. Empty is returned where no policy is to blame: it is refused without the
    rules of any, or taken with all of them by now.

    Each search finds the shortest row of policies that is refused, whose last one is to blame; small ones come first,
    so that where all together are too much for the kernel it is the largest that are left out. What was not tried
    after so many attempts is left out too.
    """
    row = sorted((one for one in policies if not one.broken), key=lambda one: (_size(one), one.namespace, one.name))
    search = _Search(row, refusal)
    return search.found(attempts) if not refusal(row) else {}


class _Search:
    def __init__(self, row: list[Policy], refusal: Refusal) -> None:
        self._row, self._refusal = row, refusal
        self._left_out: dict[Policy, str] = {}

    def found(self, attempts: int) -> Mapping[Policy, str]:
        """Find them; the table is taken with the first `taken` of the row, without those that are found."""
        taken, bound = 0, len(self._row)
        while reason := self._refused_with(bound):
            last = bound
            while last - taken > 1 and attempts:
                attempts -= 1
                middle = (taken + last) // 2
                if why := self._refused_with(middle):
                    last, reason = middle, why
                else:
                    taken = middle
            if not attempts:
                return self._left_out | dict.fromkeys(self._row[taken:], _NOT_TRIED)
            attempts -= 1
            self._left_out[self._row[last - 1]] = reason
            taken = last
        return self._left_out

    def _refused_with(self, count: int) -> str:
        return self._refusal([*self._row[count:], *self._left_out])


def _size(policy: Policy) -> int:
    """Return about how many rules of the firewall it needs."""
    rules = [rule for rules in (policy.ingress, policy.egress) for rule in rules or ()]
    return sum(max(1, len(rule.peers or ())) * max(1, len(rule.ports or ())) for rule in rules)
