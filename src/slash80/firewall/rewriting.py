"""Writing all rules of a table again in one transaction, while its sets and maps stay, with what they should hold.

The kernel keeps a packet with the rules of the generation in which it came to a chain, but has it look into sets and
maps as they are now (nft_do_chain, nft_set_elem_active). In a table that is deleted, with the next one put in its place
by the same transaction, a packet that is under way finds nothing: it is dropped, or let through, whatever both say.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address

from slash80.addressing.family import FAMILIES, family_of
from slash80.firewall import apply, listings, messages
from slash80.firewall.chains.forged import own_set
from slash80.firewall.elements import POD_SETS
from slash80.firewall.listings import Dump
from slash80.firewall.node_facts import NodeFacts
from slash80.firewall.records import TABLE, Element, Ruleset

_SET = re.compile(
    r"^\t(?:set|map) (?P<name>\w+) \{\n\t\ttype (?P<type>[^;]+);(?P<properties>.*)\n"
    r"(?:\t\telements = \{ (?P<elements>.*) \}\n)?\t\}$",
    re.MULTILINE,
)
_ADDRESSES = {f"ipv{family.version}_addr" for family in FAMILIES}
_FIRST = ("0.0.0.0/", "::/")
_OF_PODS = {one.name: one for one in POD_SETS}
_OWN = {own_set(family): family for family in FAMILIES}


@dataclass(frozen=True, slots=True)
class Rewriting:
    """The script that writes a table's rules again, and the one that deletes what nothing leads to any more then."""

    script: str
    removal: str


def rewriting(
    dump: Dump, ruleset: Ruleset, comment: str, *, elements: Iterable[Element], facts: NodeFacts
) -> Rewriting | None:
    """Return how the table that is there becomes the one of this rule set, with these elements and facts.

    None if it has other chains. A new one would be listed after those that lead there, which older nft could not load.
    """
    if listings.chains(dump) != {chain.name for chain in ruleset.chains}:
        return None
    there = listings.sets(dump)
    wanted, deletions, additions = set[str](), list[str](), list[str]()
    for found in _SET.finditer(ruleset.text):
        wanted.add(name := found["name"])
        if name in there:
            change = _change(dump, found, facts)
            deletions += change.deletions
            additions += change.additions
    of_pods = set(elements)
    installed = listings.elements(dump, [one for name, one in _OF_PODS.items() if name in there]) or frozenset()
    text = _SET.sub(lambda found: _without_elements(found) if found["name"] in there else found[0], ruleset.text)
    script = "".join(
        (
            apply.cleared(TABLE),
            *deletions,
            *_deletions(installed - of_pods),
            apply.commented(TABLE, comment, text),
            *additions,
            *apply.additions(of_pods - installed),
            *_of_new_sets(facts, there),
            *facts.rules(),
        )
    )
    return Rewriting(script, "".join(f"delete set inet {TABLE} {name}\n" for name in sorted(there - wanted)))


@dataclass(frozen=True, slots=True)
class _Change:
    deletions: tuple[str, ...] = ()
    additions: tuple[str, ...] = ()


def _change(dump: Dump, found: re.Match[str], facts: NodeFacts) -> _Change:
    """Return the lines that have a set of the skeleton hold what it should."""
    name, properties = found["name"], found["properties"]
    if name in _OF_PODS or "dynamic" in properties:  # these fill themselves, and go on
        return _Change()
    wanted = _listed(found["elements"])
    if name in _OWN:
        wanted = [str(prefix) for prefix in facts.own if family_of(prefix) is _OWN[name]]
    has = list[str]()
    if found["type"] in _ADDRESSES:
        has = _prefixes(dump, name) if "interval" in properties else _addresses(dump, name)
    # Sets of ports, of which hardly a packet asks, and the one that begins its time again. And nft marks the beginning
    # of all addresses in a set of intervals, unless one begins there.
    if not has or not wanted or any(one.startswith(_FIRST) for one in (*has, *wanted)):
        return _Change((f"flush set inet {TABLE} {name}\n",), tuple(_of_set("add", name, wanted)))
    gone, new = [one for one in has if one not in {*wanted}], [one for one in wanted if one not in {*has}]
    return _Change(tuple(_of_set("delete", name, gone)), tuple(_of_set("add", name, new)))


def _listed(elements: str | None) -> list[str]:
    return elements.split(", ") if elements else []


def _prefixes(dump: Dump, name: str) -> list[str]:
    return [str(prefix) for prefix in listings.prefixes(dump, [name]) or ()]


def _addresses(dump: Dump, name: str) -> list[str]:
    parts = dump(messages.get_elements(name)) or ()
    return [str(ip_address(key)) for part in parts for key, _ in messages.bounds_of(part.body)]


def _without_elements(found: re.Match[str]) -> str:
    return "\n".join(line for line in found[0].splitlines() if not line.startswith("\t\telements = "))


def _of_set(verb: str, name: str, elements: Collection[str]) -> Iterator[str]:
    if elements:
        yield f"{verb} element inet {TABLE} {name} {{ {', '.join(elements)} }}\n"


def _deletions(elements: Iterable[Element]) -> Iterator[str]:
    by_set = defaultdict(list)
    for element in elements:
        by_set[element.set_name].append(str(replace(element, data=())))
    for name, keys in sorted(by_set.items()):
        yield from _of_set("delete", name, sorted(keys))


def _of_new_sets(facts: NodeFacts, there: Collection[str]) -> Iterator[str]:
    for name, family in _OWN.items():
        if name not in there:
            yield from _of_set("add", name, [str(prefix) for prefix in facts.own if family_of(prefix) is family])
