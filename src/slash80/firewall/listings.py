"""What the table's sets and rules hold, read by a function that asks the kernel for a listing.

That function returns None where there is no table, or one of an older version without what is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from slash80.addressing.family import Prefix
from slash80.firewall import messages
from slash80.firewall.chains.forged import OWN_SETS
from slash80.firewall.chains.reverse_path import MULTIPATH
from slash80.firewall.node_facts import NodeFacts, Pair, prefixes_of
from slash80.firewall.records import TABLE, Element, NamedSet
from slash80.netlink.codec import Message, Step

Dump = Callable[[Step], list[Message] | None]


def elements(dump: Dump, sets: Iterable[NamedSet]) -> frozenset[Element] | None:
    """Return the elements of sets whose keys are not cut into bounds."""
    found: set[Element] = set()
    for one in sets:
        if (parts := dump(messages.get_elements(one.name))) is None:
            return None
        found.update(element for part in parts for element in messages.elements_of(one, part.body))
    return frozenset(found)


def prefixes(dump: Dump, names: Iterable[str]) -> list[Prefix] | None:
    """Return the prefixes of interval sets."""
    found: list[Prefix] = []
    for name in names:
        if (parts := dump(messages.get_elements(name))) is None:
            return None
        found += prefixes_of(bound for part in parts for bound in messages.bounds_of(part.body))
    return found


def chains(dump: Dump, table: str = TABLE) -> frozenset[str]:
    """Return the names of a table's chains."""
    parts = dump(messages.GET_CHAINS) or ()
    listed = (messages.table_and_chain_attributes(part.body) for part in parts)
    of_table = table.encode() + b"\0"
    return frozenset(
        messages.text_of(found[messages.NFTA_CHAIN_NAME])
        for found in listed
        if found.get(messages.NFTA_CHAIN_TABLE) == of_table
    )


def sets(dump: Dump, table: str = TABLE) -> frozenset[str]:
    """Return the names of a table's sets and maps, without those that are part of a rule."""
    listed = (messages.table_and_chain_attributes(part.body) for part in dump(messages.get_sets(table)) or ())
    return frozenset(
        messages.text_of(found[messages.NFTA_SET_NAME])
        for found in listed
        if not int.from_bytes(found.get(messages.NFTA_SET_FLAGS, b""), "big") & messages.NFT_SET_ANONYMOUS
    )


def facts(dump: Dump) -> NodeFacts | None:
    """Return what the table says of the node."""
    own, rules = prefixes(dump, OWN_SETS), dump(messages.get_rules(MULTIPATH))
    return None if own is None or rules is None else NodeFacts.of(own, _pairs(rules))


def _pairs(rules: Iterable[Message]) -> Iterator[Pair]:
    for rule in rules:
        userdata = messages.table_and_chain_attributes(rule.body).get(messages.NFTA_RULE_USERDATA, b"")
        came_by, _, leads_by = messages.comment_of(userdata).partition(" ")
        yield came_by, leads_by
