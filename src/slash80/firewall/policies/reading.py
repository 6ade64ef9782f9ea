"""What the policies' table in the kernel says, read by a function that asks for listings (firewall/listings.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from ipaddress import ip_address

from slash80.addressing.family import Address
from slash80.firewall import listings
from slash80.firewall import messages as nf
from slash80.firewall.elements import address_of
from slash80.firewall.listings import Dump
from slash80.firewall.policies import layout, messages
from slash80.firewall.records import Element
from slash80.policy.records import ACCEPT, CLOSED, Dispatched, Member, PeerSet, PolicyRules, Range


def rules(dump: Dump) -> PolicyRules | None:
    """Return what is in force, chains without their rules, which their names stand for; None where rules are missing.

    A chain without rules to which nothing leads does not count. Whose the table is, and whether it is awake, is not
    looked at here.
    """
    counted, found = _rules_by_chain(dump), contents(dump)
    if found is None or any(counted[name] < least for name, least in layout.FIXED.items()):
        return None
    # what was written again has left those without rules that it does not need
    chains = {name: rules for name, rules in found.chains.items() if counted[name] > 1}
    whole = {ACCEPT, CLOSED, *chains} >= {*found.verdicts.values()}
    return replace(found, chains=chains) if whole else None


def contents(dump: Dump) -> PolicyRules | None:
    """Return the same whatever the chains hold; None where another program's set is, or one is not as its name says."""
    own, named = names(dump)
    try:
        sets = {name: _set(dump, name) for name in named}
        return PolicyRules(sets, dict.fromkeys(sorted(own), ()), dict(_verdicts(dump)))
    except (LookupError, ValueError):
        return None


def names(dump: Dump) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of chains and of sets beside those that are always there."""
    chains, sets = listings.chains(dump, layout.TABLE), listings.sets(dump, layout.TABLE)
    return chains - layout.FIXED.keys(), sets - layout.MAPS.keys()


def leading(dump: Dump, chains: AbstractSet[str]) -> Iterator[Dispatched]:
    """Yield the keys that lead to one of the chains."""
    return (key for key, verdict in _verdicts(dump) if verdict in chains)


def dispatched(key: Element) -> Dispatched:
    """Return a key of one of the maps."""
    return Dispatched(layout.direction_of(key.set_name), key.ifname, address_of(key))


def _rules_by_chain(dump: Dump) -> Counter[str]:
    parts = dump(nf.get_all_rules(table=layout.TABLE)) or ()
    return Counter(messages.chain_of_rule(part.body) for part in parts)


def _verdicts(dump: Dump) -> Iterator[tuple[Dispatched, str]]:
    for name in layout.MAPS:
        for key, chain in messages.verdicts_of(name, dump(nf.get_elements(name, layout.TABLE)) or ()):
            yield dispatched(key), layout.verdict_of(chain)


def _set(dump: Dump, name: str) -> PeerSet:
    found = layout.set_of(name)
    parts = dump(nf.get_elements(name, layout.TABLE)) or ()
    if found.properties:
        bounds = (bound for part in parts for bound in nf.bounds_of(part.body))
        return PeerSet(found.type, frozenset(_ranges(bounds)), interval=True)
    elements = (element for part in parts for element in nf.elements_of(found, part.body))
    return PeerSet(found.type, frozenset(map(_member, elements)))


def _member(element: Element) -> Member:
    """Return a peer as the rules have it: an address by itself, or several parts."""
    return element.key[0] if len(element.key) == 1 else element.key  # type: ignore[return-value]


def _ranges(bounds: Iterable[tuple[bytes, bool]]) -> Iterator[Range]:
    """Return the ranges of an interval set, of whose bounds each is a key and whether it is behind the range."""
    start: Address | None = None
    for key, is_end in sorted(bounds, key=lambda bound: (bound[0], not bound[1])):
        address = ip_address(key)
        if start is not None:
            yield start, address - 1
        start = None if is_end else address
    if start is not None:  # nothing is behind the last address of all
        yield start, ip_address(b"\xff" * len(start.packed))
