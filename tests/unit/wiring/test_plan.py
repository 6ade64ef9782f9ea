"""A plan."""

from dataclasses import replace

from slash80.addressing.family import IPV4, IPV6
from unit.wiring.plans import PLAN


def test_plan_has_the_families_of_the_pod() -> None:
    """The families follow from the pod's addresses, in the usual order; the node may have more."""
    reversed_ = replace(PLAN, addresses=PLAN.addresses[::-1])

    assert ((IPV4, IPV6), (IPV4, IPV6)) == (PLAN.families, reversed_.families)
    assert (IPV6,) == replace(PLAN, addresses=PLAN.addresses[1:]).families
