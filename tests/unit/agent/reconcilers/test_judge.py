"""Which connections are judged again after a change: all that it forbids are among them."""

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.cluster import endpoints
from policy.packets import Wall
from policy.strategies import every_flow, namespaces, pods, snapshots
from profiles import examples
from slash80.agent.reconcilers.judge import Doubts, Judge
from slash80.policy.compile import Compiler
from slash80.policy.diff import apply_plan, diff
from slash80.policy.model import Endpoint, Flow, Snapshot
from slash80.policy.records import PolicyRules
from unit.policy.test_agreement import Step, all_of, steps, update

_FLOWS = tuple(every_flow())
_peers: st.SearchStrategy[Step] = pods.filter(lambda one: one.name != "p") | namespaces
# After some of any kind changes of peers alone, since each of the rules of a pod puts all connections in doubt.
_changes: st.SearchStrategy[list[list[Step]]] = st.tuples(
    steps, st.lists(st.lists(_peers, min_size=1, max_size=1), min_size=4, max_size=12)
).map(lambda found: [*found[0][:2], *found[1]])


@settings(max_examples=examples(30))
@given(snapshots, _changes)
def test_what_a_change_forbids_is_in_doubt(first: Snapshot, batches: list[list[Step]]) -> None:
    """Whatever changes, of the pods of this node and of others: labels, addresses, ports, namespaces and policies."""
    compiler, applied, before = Compiler(), PolicyRules(), None
    for batch in [all_of(first), *batches]:
        for step in batch:
            update(compiler, step)
        snapshot, doubts = compiler.snapshot(), Doubts()
        local = [one for one in endpoints(snapshot) if one.pod and one.pod.name == "p"]
        plan = diff(applied, compiler.rules(local))
        doubts.take()
        doubts.add(plan)
        peers, applied = doubts.take() if doubts else frozenset(), apply_plan(applied, plan)
        after, judge = Wall(applied, local), Judge(snapshot, local, {})
        if peers is not None and before and not plan.empty:
            forbidden = [flow for flow in _FLOWS if before.allows(flow) and not after.allows(flow)]
            assert not [flow for flow in forbidden if peers.isdisjoint((flow.source, flow.destination))]
            assert {False} >= {judge.allowed(flow) for flow in forbidden}
        before = after


def test_a_pod_that_is_closed_has_connections_with_its_node_alone() -> None:
    """As its verdict has it: of such a pod nothing else is known that could allow one."""
    pod, node, other = map(ip_address, ("10.80.1.1", "192.0.2.1", "10.80.1.2"))
    judge = Judge(Snapshot(), [Endpoint("s80pod", (pod,), closed=True)], {"a": (node,)})
    ends = [(pod, node), (node, pod), (pod, other), (other, pod), (pod, pod)]
    assert [True, True, False, False, False] == [judge.allowed(Flow(*one, 6, 80)) for one in ends]
    assert 3 == judge.denied
