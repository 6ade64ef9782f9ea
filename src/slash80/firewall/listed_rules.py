"""Rules as the kernel lists them: their comment and counter, what they ask, and the rate that they allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slash80.firewall import messages
from slash80.firewall.listings import Dump
from slash80.firewall.records import TABLE
from slash80.netlink.codec import Message, attribute_list, attributes

NFTA_EXPR_NAME, NFTA_EXPR_DATA = 1, 2
NFTA_COUNTER_BYTES, NFTA_COUNTER_PACKETS = 1, 2
NFTA_LOOKUP_SET = 1
NFTA_DYNSET_EXPR = 7
NFTA_LIMIT_RATE = 1
_Expression = tuple[str, dict[int, bytes]]


@dataclass(frozen=True, slots=True)
class ListedRule:
    """A rule; `rate` is what it allows for each key of a meter, 0 for one without."""

    chain: str
    comment: str
    packets: int = 0
    bytes: int = 0
    expressions: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()
    rate: int = 0


def rules(dump: Dump, table: str = TABLE) -> list[ListedRule]:
    """Return the rules of all chains of the table, or of another one, in their order; none where it is missing."""
    return list(map(_rule, dump(messages.get_all_rules(table=table)) or ()))


def rules_of(dump: Dump, chain: str, table: str = TABLE) -> list[ListedRule]:
    """Return the rules of one chain; none where it is missing."""
    return list(map(_rule, dump(messages.get_rules(chain, table)) or ()))


def _rule(listed: Message) -> ListedRule:
    found = messages.table_and_chain_attributes(listed.body)
    expressions = list(_expressions(found.get(messages.NFTA_RULE_EXPRESSIONS, b"")))
    counter = next((data for name, data in expressions if name == "counter"), {})
    meter = next((data for name, data in expressions if name == "dynset" and NFTA_DYNSET_EXPR in data), None)
    return ListedRule(
        chain=_text(found[messages.NFTA_RULE_CHAIN]),
        comment=messages.comment_of(found.get(messages.NFTA_RULE_USERDATA, b"")),
        packets=int.from_bytes(counter.get(NFTA_COUNTER_PACKETS, b""), "big"),
        bytes=int.from_bytes(counter.get(NFTA_COUNTER_BYTES, b""), "big"),
        expressions=frozenset(name for name, _ in expressions),
        sets=frozenset(_text(data[NFTA_LOOKUP_SET]) for name, data in expressions if name == "lookup"),
        rate=_rate(meter) if meter else 0,
    )


def _expressions(nested: bytes) -> Iterator[_Expression]:
    for _, member in attribute_list(nested):
        found = attributes(member, 0)
        yield _text(found[NFTA_EXPR_NAME]), attributes(found.get(NFTA_EXPR_DATA, b""), 0)


def _rate(meter: dict[int, bytes]) -> int:
    expression = attributes(meter[NFTA_DYNSET_EXPR], 0)
    return int.from_bytes(attributes(expression[NFTA_EXPR_DATA], 0).get(NFTA_LIMIT_RATE, b""), "big")


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "replace")
