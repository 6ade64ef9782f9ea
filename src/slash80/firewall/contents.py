"""What every rule says and every fixed set holds, as one hash: counts do not show that a rule was replaced by another.

Left out is what changes without anybody's doing, as counters and elements with a time limit, and what has a reconciler
of its own: elements of pods, and what the table says of the node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from slash80.firewall import listed_rules, messages
from slash80.firewall.chains.forged import OWN_SETS
from slash80.firewall.elements import POD_SETS
from slash80.firewall.listings import Dump
from slash80.firewall.records import Ruleset
from slash80.netlink.codec import attribute_list, attributes

NFT_SET_TIMEOUT, NFT_SET_EVAL = 0x10, 0x20
_DEFINITION = (
    messages.NFTA_SET_NAME,
    messages.NFTA_SET_FLAGS,
    messages.NFTA_SET_KEY_TYPE,
    messages.NFTA_SET_KEY_LEN,
    messages.NFTA_SET_TIMEOUT,
)
_COUNTER = b"counter\0"
_RECONCILED = {*(one.name for one in POD_SETS), *OWN_SETS}


def digest(dump: Dump, ruleset: Ruleset) -> str:
    """Return the hash of the table as the kernel shows it; that of nothing where there is no table."""
    found = hashlib.sha256()
    for part in (*_rules(dump, ruleset), *_sets(dump)):
        found.update(len(part).to_bytes(4, "big") + part)
    return found.hexdigest()


def _rules(dump: Dump, ruleset: Ruleset) -> Iterator[bytes]:
    """Yield the rules in their order, each with its chain."""
    of_node = {chain.name for chain in ruleset.chains if chain.of_node}
    for rule in (rule for family in ("inet", "arp") for rule in dump(messages.get_all_rules(family)) or ()):
        found = messages.table_and_chain_attributes(rule.body)
        chain = found[messages.NFTA_RULE_CHAIN]
        if chain.rstrip(b"\0").decode() not in of_node:
            expressions = b"".join(map(_uncounted, _members(found.get(messages.NFTA_RULE_EXPRESSIONS, b""))))
            yield chain + expressions


def _sets(dump: Dump) -> Iterator[bytes]:
    """Yield the sets with their elements, ordered by name; anonymous ones have the number of their place."""
    definitions = [messages.table_and_chain_attributes(one.body) for one in dump(messages.get_sets()) or ()]
    for found in sorted(definitions, key=lambda one: one[messages.NFTA_SET_NAME]):
        yield b"".join(found.get(kind, b"") for kind in _DEFINITION)
        name = found[messages.NFTA_SET_NAME].rstrip(b"\0").decode()
        flags = int.from_bytes(found.get(messages.NFTA_SET_FLAGS, b""), "big")
        if name not in _RECONCILED and not flags & (NFT_SET_TIMEOUT | NFT_SET_EVAL):
            listed = dump(messages.get_elements(name)) or ()
            yield from sorted(element for one in listed for element in messages.intervals_of(one.body))


def _members(nested: bytes) -> Iterator[bytes]:
    return (member for _, member in attribute_list(nested))


def _uncounted(expression: bytes) -> bytes:
    found = attributes(expression, 0)
    return _COUNTER if found[listed_rules.NFTA_EXPR_NAME] == _COUNTER else expression
