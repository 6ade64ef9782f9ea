"""What leads from the rules in force to others, and what is in force afterwards."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TypeVar

from slash80.policy.records import Dispatched, Member, PeerSet, Plan, PolicyRules

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")
_Sets = Mapping[str, PeerSet]
_Verdicts = Mapping[Dispatched, str]


def diff(applied: PolicyRules, wanted: PolicyRules) -> Plan:
    """Return what leads from `applied` to `wanted`. Chains of one name have the same rules, so names decide."""
    plan = added(applied, wanted)
    if applied.verdicts is wanted.verdicts and applied.sets.keys() == wanted.sets.keys():
        return replace(plan, deleted=_members(wanted.sets, applied.sets))  # of the usual change, members come and go
    return replace(
        plan,
        deleted=_members(wanted.sets, applied.sets),
        forgotten=frozenset(applied.verdicts.keys() - wanted.verdicts.keys()),
        old_chains=frozenset(applied.chains.keys() - wanted.chains.keys()),
        old_sets=frozenset(applied.sets.keys() - wanted.sets.keys()),
    )


def added(applied: PolicyRules, part: PolicyRules) -> Plan:
    """Return what adds `part`, what one endpoint needs, to what is in force, and takes nothing away."""
    return Plan(
        new_sets={name: one for name, one in part.sets.items() if name not in applied.sets},
        added=_members(applied.sets, part.sets),
        new_chains={name: rules for name, rules in part.chains.items() if name not in applied.chains},
        verdicts=_verdicts(applied.verdicts, part.verdicts),
    )


def apply_plan(applied: PolicyRules, plan: Plan) -> PolicyRules:
    """Return what is in force when a plan has been carried out."""
    sets = _without(applied.sets, plan.old_sets)
    for name in plan.added.keys() | plan.deleted.keys():
        members = (sets[name].members | plan.added.get(name, frozenset())) - plan.deleted.get(name, frozenset())
        sets[name] = replace(sets[name], members=members)
    chains, verdicts = _without(applied.chains, plan.old_chains), _without(applied.verdicts, plan.forgotten)
    return PolicyRules({**sets, **plan.new_sets}, {**chains, **plan.new_chains}, {**verdicts, **plan.verdicts})


def _without(known: Mapping[_Key, _Value], gone: AbstractSet[_Key]) -> dict[_Key, _Value]:
    """Return a copy without some keys. What is copied first keeps its hashes, and a node has a thousand verdicts."""
    kept = dict(known)
    for key in gone & kept.keys():
        del kept[key]
    return kept


def _verdicts(applied: _Verdicts, wanted: _Verdicts) -> _Verdicts:
    if applied is wanted:
        return {}
    return {key: verdict for key, verdict in wanted.items() if applied.get(key) != verdict}


def _members(of: _Sets, more: _Sets) -> dict[str, frozenset[Member]]:
    """Return the members that sets of the same name have in `more` only."""
    both = ((name, of[name].members, one.members) for name, one in more.items() if name in of)
    # A set that did not change is the same object, which saves comparing thousands of members.
    return {name: others - members for name, members, others in both if others is not members and others - members}
