"""What policies mean, by real packets: upstream's cases, and random clusters of which the oracle says the same."""

from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings

from policy.cases import CASES, Case, reached
from policy.cluster import at, endpoints, flow
from policy.crossing import HOSTS, STRANGER, Crossing, addresses, ifname
from policy.packets import PROTOCOLS
from policy.strategies import every_flow, snapshots
from profiles import examples, of_this_run
from slash80.firewall.policies.table import PolicyTable
from slash80.policy.compile import compile_rules
from slash80.policy.diff import diff
from slash80.policy.evaluate import Oracle
from slash80.policy.model import Endpoint, Flow, Snapshot
from slash80.policy.records import PolicyRules

_HOST_OF = {address: host for host in HOSTS for address in addresses(host)}
# A packet of a host to itself stays there; a Service that leads a pod to itself is in test_verdicts.
_FLOWS = [one for one in every_flow() if one.source != one.destination]


class Enforced:
    """What is in force on a node: a whole table, and then what plans make of it, as a controller does it."""

    def __init__(self, crossing: Crossing) -> None:
        self._crossing, self._table = crossing, PolicyTable()
        self._applied = PolicyRules()
        crossing.node.run(self._table.replace, self._applied)

    def close(self) -> None:
        """Close the table's socket."""
        self._table.close()

    def reached(self, snapshot: Snapshot, flows: list[Flow]) -> set[Flow]:
        """Put in force what a cluster's policies mean, and return those of the flows of which a packet arrives."""
        judged = {address: one.pod for one in endpoints(snapshot) for address in one.addresses}
        here = [one for one in _HOST_OF if _HOST_OF[one] != STRANGER]
        wanted = compile_rules(snapshot, [Endpoint(ifname(_HOST_OF[one]), (one,), judged.get(one)) for one in here])
        self._crossing.node.run(self._table.apply, diff(self._applied, wanted))
        self._applied = wanted
        return self._crossing.arriving(flows)


@pytest.fixture(scope="module")
def enforced() -> Iterator[Enforced]:
    """Provide a node with its hosts; every packet on it begins a connection of its own, so the tests may share it."""
    with Crossing() as crossing:
        enforced = Enforced(crossing)
        try:
            yield enforced
        finally:
            enforced.close()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_upstream_case_holds_for_packets(enforced: Enforced, case: Case) -> None:
    """Of the packets between all pods, in both families, those arrive that upstream expects, after each change."""
    for step in case.steps:
        for port, protocol, table in map(reached, step.expected):
            number = PROTOCOLS[protocol.lower()]
            pairs = {
                flow(*pair, port, number, version): allowed
                for version in (4, 6)
                for pair, allowed in table.items()
                if pair[0] != pair[1]
            }

            assert {one for one, allowed in pairs.items() if allowed} == enforced.reached(at(step), list(pairs))


# Without looking for a smaller cluster once it fails, which takes minutes here: the unit tests find one in seconds.
@settings(of_this_run(), max_examples=examples(15), phases=[Phase.generate])
@given(snapshot=snapshots)
def test_packets_do_what_the_oracle_says(enforced: Enforced, snapshot: Snapshot) -> None:
    """Of more than a thousand packets in each of many random clusters, those arrive that the oracle allows."""
    oracle = Oracle(snapshot)

    assert {one for one in _FLOWS if oracle.verdict(one).allowed} == enforced.reached(snapshot, _FLOWS)
