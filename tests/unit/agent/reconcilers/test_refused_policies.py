"""Which policies a table is refused for: found in few attempts."""

from collections.abc import Collection

import pytest

from slash80.addressing.ports import TCP
from slash80.agent.reconcilers.refused_policies import refused
from slash80.policy.model import Policy, Ports, Rule, Selector

MANY = [Policy("shop", f"p{number:04}", Selector(), ()) for number in range(1000)]


class Kernel:
    """Refuses a table that has one of these policies in force, and counts the attempts."""

    def __init__(self, *bad: Policy) -> None:
        self._bad, self.attempts = bad, 0

    def refusal(self, left_out: Collection[Policy]) -> str:
        """Say the first of them that is in force."""
        self.attempts += 1
        without = {*left_out}
        return next((f"refuses {one}" for one in self._bad if one not in without), "")


@pytest.mark.parametrize("bad", [[0], [999], [500], [3, 4, 998]])
def test_each_refused_policy_is_found_with_its_reason(bad: list[int]) -> None:
    """Of a thousand one takes eleven attempts, and one to see that no other is left."""
    kernel = Kernel(*(MANY[number] for number in bad))
    assert {MANY[number]: f"refuses shop/p{number:04}" for number in bad} == refused(MANY, kernel.refusal)
    assert kernel.attempts <= 2 + 12 * len(bad)


def test_where_no_policy_is_to_blame_none_is() -> None:
    """The table is refused without any of them, or it is taken by now."""
    assert {} == refused(MANY, lambda _: "no nf_tables")
    assert {} == refused(MANY, lambda _: "")


def test_what_was_not_tried_in_time_is_left_out() -> None:
    """The attempts have a bound; what is in force afterwards was taken by the kernel."""
    kernel = Kernel(*MANY[500:600])
    found = refused(MANY, kernel.refusal, attempts=25)
    assert kernel.attempts <= 30
    assert kernel.refusal(found) == ""
    assert 500 <= len(MANY) - len(found)


def test_a_table_that_is_too_large_loses_its_largest_policies() -> None:
    """A small policy of one team does not pay for the large one of another."""
    large = Policy("a", "large", Selector(), (Rule(ports=tuple(Ports(TCP, port, port) for port in range(1, 9))),))

    def refusal(left_out: Collection[Policy]) -> str:
        return "" if large in left_out else "too many rules"

    assert [large] == [*refused([large, *MANY], refusal)]
