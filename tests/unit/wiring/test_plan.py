"""A plan."""

from dataclasses import replace

from slash80.addressing.family import IPV4, IPV6
from unit.wiring.plans import PLAN


def test_a_plan_knows_the_families_that_the_pod_gets() -> None:
    """By its addresses, in the usual order; the node may have more."""
    reversed_ = replace(PLAN, addresses=PLAN.addresses[::-1])

    assert ((IPV4, IPV6), (IPV4, IPV6)) == (PLAN.families, reversed_.families)
    assert (IPV6,) == replace(PLAN, addresses=PLAN.addresses[1:]).families
