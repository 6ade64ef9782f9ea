"""Two readings of the API's text agree about random clusters, and so do rules made at once and step by step."""

from hypothesis import given, settings
from hypothesis import strategies as st

from policy import strategies
from policy.cluster import endpoints
from policy.packets import Wall
from policy.strategies import every_flow, snapshots
from profiles import examples
from slash80.policy.compile import Compiler, compile_rules
from slash80.policy.diff import added, apply_plan, diff
from slash80.policy.evaluate import Oracle
from slash80.policy.model import Namespace, Pod, Policy, Selector, Snapshot
from slash80.policy.records import PolicyRules

_FLOWS = tuple(every_flow())


@settings(max_examples=examples(40))
@given(snapshots)
def test_the_oracle_says_what_the_compiled_rules_do(snapshot: Snapshot) -> None:
    """Of the flows between all pods and strangers, at all ports, each is allowed by both or by neither."""
    local = endpoints(snapshot)
    oracle, wall = Oracle(snapshot), Wall(compile_rules(snapshot, local), local)

    assert [] == [flow for flow in _FLOWS if oracle.verdict(flow).allowed is not wall.allows(flow)]


Step = Pod | Namespace | Policy | tuple[str, str, str]
_deleted = st.tuples(
    st.sampled_from(["pod", "namespace", "policy"]),
    st.sampled_from(strategies.SPACES),
    st.sampled_from(["p", "q", "r", "p1", "p2", "p3"]),
)
steps: st.SearchStrategy[list[list[Step]]] = st.lists(
    st.lists(strategies.pods | strategies.namespaces | strategies.policies | _deleted, min_size=1, max_size=6),
    max_size=4,
)


def all_of(snapshot: Snapshot) -> list[Step]:
    """Return what there is; namespaces may be seen after their pods."""
    return [*snapshot.pods, *snapshot.policies, *snapshot.namespaces.values()]


def update(compiler: Compiler, step: Step) -> None:
    """Change or delete an object, as an informer reports it."""
    match step:
        case Pod():
            compiler.update(pods=[(None, step)])
        case Namespace():
            compiler.update(namespaces=[(None, step)])
        case Policy():
            compiler.update(policies=[(None, step)])
        case "pod", namespace, name:
            compiler.update(pods=[(Pod(namespace, name), None)])
        case "namespace", namespace, _:
            compiler.update(namespaces=[(Namespace(namespace), None)])
        case _, namespace, name:
            compiler.update(policies=[(Policy(namespace, name, Selector()), None)])


@settings(max_examples=examples(50))
@given(snapshots, steps)
def test_changes_one_by_one_lead_where_all_of_them_at_once_lead(first: Snapshot, batches: list[list[Step]]) -> None:
    """After each batch the rules are those of a compiler that never knew anything else, and the plan leads there."""
    compiler, applied = Compiler(), PolicyRules()
    for batch in [all_of(first), *batches]:
        for step in batch:
            update(compiler, step)
        snapshot = compiler.snapshot()
        local = endpoints(snapshot)
        for endpoint in local[:2]:  # as if ADD had asked for these before
            applied = apply_plan(applied, added(applied, compiler.rules_of(endpoint)))
        wanted = compiler.rules(local)
        assert compile_rules(snapshot, local) == wanted
        applied = apply_plan(applied, diff(applied, wanted))
        assert wanted == applied


@given(snapshots)
def test_what_is_added_for_one_endpoint_lets_it_do_what_all_rules_let_it_do(snapshot: Snapshot) -> None:
    """What ADD applies for a new interface is enough for its own packets, and names no set that is missing."""
    compiler, local = Compiler(), endpoints(snapshot)
    for step in all_of(snapshot):
        update(compiler, step)
    whole = compiler.rules(local)
    for endpoint in local:
        part = compiler.rules_of(endpoint)
        assert {key: whole.verdicts[key] for key in part.verdicts} == part.verdicts
        assert {name: whole.chains[name] for name in part.chains} == part.chains
        assert {name: whole.sets[name] for name in part.sets if "self" not in name} == {
            name: one for name, one in part.sets.items() if "self" not in name
        }
        named = {
            word[1:] for rules in part.chains.values() for rule in rules for word in rule.split() if word[0] == "@"
        }
        assert named == part.sets.keys()
