"""What leads from the rules in force to others."""

from dataclasses import replace
from ipaddress import ip_address

from policy.cluster import ANYTHING, block, cluster, endpoints, labelled, pod, rule, tcp
from slash80.policy.compile import Compiler, compile_rules
from slash80.policy.diff import added, apply_plan, diff
from slash80.policy.model import Policy, Selected
from slash80.policy.records import ACCEPT, PolicyRules

FROM_B = Policy("x", "from-b", ANYTHING, (rule(Selected(pods=labelled(pod="b"))),))
IN_BLOCK = Policy("x", "in-block", labelled(pod="a"), (rule(block("10.0.0.0/8", "10.80.1.9/32"), ports=(tcp(80),)),))


def _rules(*policies: Policy) -> PolicyRules:
    snapshot = cluster(*policies)
    return compile_rules(snapshot, endpoints(snapshot))


def test_nothing_leads_from_rules_to_themselves() -> None:
    """Equal rules need no plan, also where they were compiled independently."""
    assert diff(_rules(FROM_B, IN_BLOCK), _rules(FROM_B, IN_BLOCK)).empty


def test_a_plan_leads_to_what_is_wanted() -> None:
    """Whatever is in force, after the plan it is what was wanted: from nothing, to nothing, and from one to another."""
    states = [PolicyRules(), _rules(), _rules(FROM_B), _rules(IN_BLOCK), _rules(FROM_B, IN_BLOCK)]

    for applied in states:
        for wanted in states:
            assert wanted == apply_plan(applied, diff(applied, wanted))


def test_members_come_and_go_without_a_new_set_or_chain() -> None:
    """When a peer gets another address, one element is added and one deleted."""
    before, after = cluster(FROM_B), cluster(FROM_B)
    moved = replace(pod("x", "b"), addresses=(ip_address("10.80.1.77"),))
    pods = tuple(moved if one.name == "b" and one.namespace == "x" else one for one in after.pods)
    local = endpoints(before)[:1]
    applied, wanted = compile_rules(before, local), compile_rules(replace(after, pods=pods), local)

    plan = diff(applied, wanted)

    assert not any((plan.new_sets, plan.new_chains, plan.old_chains, plan.old_sets))
    assert [{ip_address("10.80.1.77")}] == list(map(set, plan.added.values()))
    assert {ip_address("10.80.1.2"), ip_address("2001:db8::2")} == set().union(*plan.deleted.values())


def test_a_changed_policy_is_a_new_chain() -> None:
    """A chain never changes: keys lead to a new one, and the old one is deleted in the same plan."""
    plan = diff(_rules(FROM_B), _rules(replace(FROM_B, ingress=())))

    assert plan.new_chains
    assert plan.old_chains
    assert set(plan.verdicts.values()) == set(plan.new_chains)
    assert not plan.forgotten


def test_chains_are_compared_by_name() -> None:
    """What is read back from the kernel has names of chains without their rules, and these are not loaded again."""
    wanted = _rules(FROM_B)
    read = replace(wanted, chains=dict.fromkeys(wanted.chains, ()))

    assert diff(read, wanted).empty


def test_adding_one_endpoint_takes_nothing_away() -> None:
    """What a new interface needs is added to what is in force; everything of the others stays as it is."""
    snapshot = cluster(FROM_B, IN_BLOCK)
    *others, newest = endpoints(snapshot)[:2]
    compiler = Compiler()
    compiler.update(
        pods=[(None, one) for one in snapshot.pods],
        namespaces=[(None, one) for one in snapshot.namespaces.values()],
        policies=[(None, one) for one in snapshot.policies],
    )
    applied = compiler.rules(others)

    after = apply_plan(applied, added(applied, compiler.rules_of(newest)))

    assert compiler.rules([*others, newest]) == after


def test_what_is_expected_has_its_chains_before_it_comes() -> None:
    """Nothing leads there yet, and when the interface comes only elements are added: no program has to be run."""
    snapshot = cluster(FROM_B, IN_BLOCK)
    *others, newest = endpoints(snapshot)[:2]
    compiler = Compiler()
    compiler.update(
        pods=[(None, one) for one in snapshot.pods],
        namespaces=[(None, one) for one in snapshot.namespaces.values()],
        policies=[(None, one) for one in snapshot.policies],
    )
    before = compiler.rules(others)
    applied = compiler.rules(others, [replace(newest, ifname="")])
    plan = added(applied, compiler.rules_of(newest))

    assert before.verdicts == applied.verdicts
    assert before.chains.keys() < applied.chains.keys()
    assert not any((plan.new_sets, plan.new_chains, plan.old_chains, plan.old_sets))
    assert plan.verdicts
    assert compiler.rules([*others, newest]) == apply_plan(applied, plan)


def test_an_endpoint_that_is_gone_is_forgotten() -> None:
    """Its keys are deleted, and so is the chain that no other one needs."""
    snapshot = cluster(FROM_B)
    local = endpoints(snapshot)
    plan = diff(compile_rules(snapshot, local), compile_rules(snapshot, local[3:]))

    assert {one.ifname for one in plan.forgotten} == {one.ifname for one in local[:3]}
    assert plan.old_chains
    assert plan.old_sets
    assert ACCEPT not in plan.old_chains
