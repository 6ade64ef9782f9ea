"""The policies' table as one nft script: all of it, or what changes, which the kernel does as one or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from slash80.firewall.apply import cleared, commented
from slash80.firewall.policies import layout
from slash80.firewall.policies.layout import TABLE
from slash80.firewall.records import Element
from slash80.policy.diff import diff
from slash80.policy.records import DROPPED, Dispatched, Member, PeerSet, Plan, PolicyRules

_BASE = f"chain inet {TABLE} {layout.BASE_CHAIN}"
REMOVAL = f"table inet {TABLE}\ndelete table inet {TABLE}\n"
# What comes before that, so that no packet meets rules any more whose sets and maps are deleted.
EMPTYING = f"table inet {TABLE}\nadd {_BASE}\nflush {_BASE}\n"


def whole(rules: PolicyRules, mark: int | None) -> str:
    """Return the script that puts the whole table in the place of one that may be there."""
    contents = Plan(new_sets=rules.sets, new_chains=rules.chains, verdicts=rules.verdicts)
    return REMOVAL + _skeleton(mark) + additions(contents, {})


def rewritten(found: PolicyRules, rules: PolicyRules, mark: int | None) -> str:
    """Return the script that writes all rules of a table with these contents again; its sets, chains and maps stay.

    A chain that is not wanted any more drops. Without a rule it would let all pass, if who does not know yet that the
    table was written again leads a pod there.
    """
    plan = replace(diff(found, rules), new_chains=rules.chains, old_chains=frozenset(), old_sets=frozenset())
    left = (name for name in sorted(found.chains.keys() - rules.chains.keys()) if name[1:3] in {"4-", "6-"})
    closed = (f"add rule inet {TABLE} {name} goto {DROPPED[layout.direction_of(name)]}\n" for name in left)
    return cleared(TABLE) + _skeleton(mark) + additions(plan, found.verdicts) + "".join(closed)


def _skeleton(mark: int | None) -> str:
    return commented(TABLE, layout.comment(mark), layout.skeleton(mark))


def additions(plan: Plan, present: Mapping[Dispatched, str]) -> str:
    """Return the script that adds and changes what a plan says; `present` are those of its keys that have a verdict."""
    lines = [
        *_sets(plan.new_sets),
        *_members("add", plan.added),
        *_members("add", plan.deleted),  # or deleting one that is missing would fail
        *_members("delete", plan.deleted),
        *_chains(plan.new_chains),
        *_verdicts(plan, present),
    ]
    return "".join(f"{line}\n" for line in lines)


def removals(chains: Iterable[str], sets: Iterable[str]) -> str:
    """Return the script that deletes chains and sets that nothing leads to any more."""
    lines = [line for name in sorted(chains) for line in _named(("flush", "delete"), "chain", name)]
    lines += [line for name in sorted(sets) for line in _named(("delete",), "set", name)]
    return "".join(f"{line}\n" for line in lines)


def element_of(set_name: str, member: Member) -> Element:
    """Return a peer as an element of its set."""
    found = layout.set_of(set_name)
    parts = member if isinstance(member, tuple) else (member,)
    if found.properties:
        return Element(set_name, parts[:1], parts[-1:])
    return Element(set_name, parts)


def key_of(key: Dispatched) -> Element:
    """Return a key of the maps as an element without its verdict."""
    return Element(layout.map_of(key), (key.ifname, key.address))


def _named(verbs: Iterable[str], kind: str, name: str) -> Iterator[str]:
    return (f"{verb} {kind} inet {TABLE} {name}" for verb in verbs)


def _sets(new: Mapping[str, PeerSet]) -> Iterator[str]:
    # One of this name may have been left by a deletion that the kernel refused.
    for name, found in sorted(new.items()):
        properties = f" {layout.set_of(name).properties}".rstrip()
        yield f"add set inet {TABLE} {name} {{ type {found.type};{properties} }}"
        yield f"flush set inet {TABLE} {name}"
    yield from _members("add", {name: found.members for name, found in sorted(new.items())})


def _members(verb: str, members: Mapping[str, Iterable[Member]]) -> Iterator[str]:
    for name, changed in sorted(members.items()):
        if listed := ", ".join(sorted(str(element_of(name, one)) for one in changed)):
            yield f"{verb} element inet {TABLE} {name} {{ {listed} }}"


def _chains(new: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for name, rules in sorted(new.items()):
        yield from _named(("add", "flush"), "chain", name)
        all_rules = (layout.first_rule(name), *map(layout.rule_of, rules))
        yield from (f"add rule inet {TABLE} {name} {rule}" for rule in all_rules)


def flips(plan: Plan, present: Mapping[Dispatched, str]) -> tuple[list[Dispatched], dict[Dispatched, str]]:
    """Return keys to delete and those to add then, of which some are the same: a key gets no other verdict else."""
    gone = [key for key in present if key in plan.forgotten or present[key] != plan.verdicts.get(key, present[key])]
    return gone, {key: verdict for key, verdict in plan.verdicts.items() if present.get(key) != verdict}


def _verdicts(plan: Plan, present: Mapping[Dispatched, str]) -> Iterator[str]:
    gone, new = flips(plan, present)
    yield from _of_maps("delete", {key: str(key_of(key)) for key in gone})
    yield from _of_maps("add", {key: f"{key_of(key)} : {_words(verdict)}" for key, verdict in new.items()})


def _of_maps(verb: str, elements: Mapping[Dispatched, str]) -> Iterator[str]:
    for name in layout.MAPS:
        if listed := ", ".join(sorted(words for key, words in elements.items() if layout.map_of(key) == name)):
            yield f"{verb} element inet {TABLE} {name} {{ {listed} }}"


def _words(verdict: str) -> str:
    chain = layout.chain_of(verdict)
    return f"goto {chain}" if chain else "return"
