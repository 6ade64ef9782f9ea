"""Upstream's cases, offline: for the oracle and for the compiled rules, in both families, over all pairs of pods."""

import pytest

from policy.cases import CASES, Case, reached
from policy.cluster import at, endpoints, flow
from policy.packets import PROTOCOLS, Wall
from slash80.policy.compile import compile_rules
from slash80.policy.evaluate import Oracle


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_upstream_case_holds(case: Case, version: int) -> None:
    """Who reaches whom is what upstream expects: of all 81 pairs, at each port that the case names."""
    for step in case.steps:
        found = at(step)
        oracle, wall = Oracle(found), Wall(compile_rules(found, endpoints(found)), endpoints(found))
        for expected in step.expected:
            port, protocol, table = reached(expected)
            flows = {pair: flow(*pair, port, PROTOCOLS[protocol.lower()], version) for pair in table}
            assert table == {pair: oracle.verdict(one).allowed for pair, one in flows.items()}
            assert table == {pair: wall.allows(one) for pair, one in flows.items()}


def test_every_upstream_case_of_the_data_path_is_there() -> None:
    """The list has 50 cases, of which the last two are about the API server alone."""
    assert list(range(1, 49)) == [case.number for case in CASES]


def test_every_case_expects_a_drop_but_those_that_allow_all() -> None:
    """A line without an exception expects all pairs, which a wall with no rules would pass as well."""
    dropping = {case.number for case in CASES for step in case.steps for one in step.expected if " no" in one}

    assert {5, 16} == {case.number for case in CASES} - dropping
