"""Messages of nf_tables about the policies' table, each with the `nft` command that says the same.

Source: include/uapi/linux/netfilter/nf_tables.h; net/netfilter/nf_tables_api.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

from slash80.firewall import messages as nf
from slash80.firewall.messages import NFNL_SUBSYS_NFTABLES, NLA_F_NESTED
from slash80.firewall.policies import layout
from slash80.firewall.policies.layout import TABLE
from slash80.firewall.records import Element
from slash80.netlink.codec import Message, Step, attribute, attributes
from slash80.netlink.constants import NLM_F_CREATE

NFTA_DATA_VERDICT, NFTA_VERDICT_CODE, NFTA_VERDICT_CHAIN = 2, 1, 2
NFT_GOTO, NFT_RETURN = -4, -5
_CODE = struct.Struct(">i")
_NAME = TABLE.encode() + b"\0"
_LONGEST = 60_000  # bytes of one message's elements: an attribute has at most 64 KiB
# Bytes of one transaction: it is one datagram, for which the send buffer has to have room, with the kernel's own.
LARGEST = 100_000

Change = tuple[str, str, Sequence[bytes]]  # add or delete, the set, its elements


def get_element(key: Element) -> Step:
    """Ask for one element of a map."""
    body = nf.INET + nf.of_set(key.set_name, TABLE) + _element_list([_element(key.packed[0])])
    text, values = f"nft get element inet {TABLE} %s {{ %s }}", (key.set_name, key)
    return nf.step(text, nf.NFT_MSG_GETSETELEM, body, values=values)


def member(element: Element) -> bytes:
    """Encode an element of a set that is not an interval set."""
    return _element(element.packed[0])


def verdict(key: Element, chain: str) -> bytes:
    """Encode an element of a map, with the chain that it leads to; without one it returns."""
    code = attribute(NFTA_VERDICT_CODE, _CODE.pack(NFT_GOTO if chain else NFT_RETURN))
    leads_to = attribute(NFTA_VERDICT_CHAIN, chain.encode() + b"\0") if chain else b""
    data = attribute(NFTA_DATA_VERDICT | NLA_F_NESTED, code + leads_to)
    return _element(key.packed[0], attribute(nf.NFTA_SET_ELEM_DATA | NLA_F_NESTED, data))


def transaction(changes: Iterable[Change]) -> list[Step]:
    """Return the steps of one transaction."""
    parts: list[nf.Change] = []
    for verb, set_name, elements in changes:
        kind, flags = (nf.NFT_MSG_NEWSETELEM, NLM_F_CREATE) if verb == "add" else (nf.NFT_MSG_DELSETELEM, 0)
        for some in _divided(elements):
            body = nf.of_set(set_name, TABLE) + _element_list(some)
            parts.append((f"nft {verb} element inet {TABLE} %s", kind, body, flags, (set_name,)))
    return nf.transaction(parts)


def is_awake(body: bytes) -> bool:
    """Report whether a table's chains have their hooks, which a dormant one has not."""
    return not any(nf.table_and_chain_attributes(body).get(nf.NFTA_TABLE_FLAGS, b""))


def has_comment(body: bytes) -> bool:
    """Report whether the table itself has a comment, as those of older versions."""
    return nf.NFTA_TABLE_USERDATA in nf.table_and_chain_attributes(body)


def comment_of_chain(body: bytes) -> str:
    """Read a chain's comment."""
    return nf.comment_of(nf.table_and_chain_attributes(body).get(nf.NFTA_CHAIN_USERDATA, b""))


def is_whole(body: bytes) -> bool:
    """Report whether a chain has its hook, if it is the base one, and its rules, of which there may be more."""
    found = nf.table_and_chain_attributes(body)
    name, uses = nf.text_of(found[nf.NFTA_CHAIN_NAME]), int.from_bytes(found[nf.NFTA_CHAIN_USE], "big")
    if name == layout.BASE_CHAIN:
        return nf.NFTA_CHAIN_HOOK in found and uses >= layout.FIXED[name]
    return uses > layout.FIXED[name]  # with the rule that jumps there


def chain_of_rule(body: bytes) -> str:
    """Read the name of the chain that a rule is in."""
    return nf.text_of(nf.table_and_chain_attributes(body)[nf.NFTA_RULE_CHAIN])


def verdicts_of(map_name: str, parts: Iterable[Message]) -> Iterator[tuple[Element, str]]:
    """Read a map's keys, each with the chain that it leads to."""
    for part in parts:
        for found in nf.listed_elements(part.body):
            key = attributes(found[nf.NFTA_SET_ELEM_KEY], 0)[nf.NFTA_DATA_VALUE]
            data = attributes(found[nf.NFTA_SET_ELEM_DATA], 0)
            leads_to = attributes(data[NFTA_DATA_VERDICT], 0).get(NFTA_VERDICT_CHAIN, b"")
            yield Element.of_packed(layout.MAPS[map_name], (key, b"", b"")), nf.text_of(leads_to)


def changes_table(kind: int, body: bytes) -> bool:
    """Report whether a notification tells of a change of the table, other than of keys that ADD adds to its maps."""
    if kind >> 8 != NFNL_SUBSYS_NFTABLES:
        return False
    if kind & 0xFF == nf.NFT_MSG_NEWSETELEM and body.startswith(_OF_MAPS, len(nf.INET)):
        return False
    return attributes(body, len(nf.INET)).get(nf.NFTA_TABLE_NAME) == _NAME  # the number of the name in every message


_OF_MAPS = tuple(nf.of_set(name, TABLE) for name in layout.MAPS)


def _element(key: bytes, data: bytes = b"") -> bytes:
    nested = attribute(nf.NFTA_SET_ELEM_KEY | NLA_F_NESTED, attribute(nf.NFTA_DATA_VALUE, key))
    return attribute(nf.NFTA_LIST_ELEM | NLA_F_NESTED, nested + data)


def _element_list(elements: Iterable[bytes]) -> bytes:
    return attribute(nf.NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, b"".join(elements))


def _divided(elements: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Divide elements of one set, which have about one size, into as many as one message can have."""
    if elements:
        at_once = _LONGEST // max(map(len, elements))
        yield from (elements[start : start + at_once] for start in range(0, len(elements), at_once))
