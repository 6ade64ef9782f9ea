"""Messages of nf_tables as steps, each with the `nft` command that says the same.

Numbers in attributes are big-endian here, other than in rtnetlink. A change is a batch: a message that begins it, the
changes, one that ends it, all in one datagram, of which the kernel does everything or nothing.
Source: include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h; net/netfilter/nfnetlink.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby

from slash80.firewall.elements import POD_SETS
from slash80.firewall.records import TABLE, Element
from slash80.netlink.codec import Step, attribute, attribute_list, attributes, message
from slash80.netlink.constants import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_ECHO

NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END = 0x10, 0x11
NFNL_BATCH_GENID = 1
NFNL_SUBSYS_NFTABLES = 10
NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETSET = 1, 4, 7, 10
NFT_MSG_NEWSETELEM, NFT_MSG_GETSETELEM, NFT_MSG_DELSETELEM = 12, 13, 14
NFT_MSG_NEWGEN, NFT_MSG_GETGEN = 15, 16
NFTA_TABLE_NAME, NFTA_TABLE_FLAGS, NFTA_TABLE_USERDATA = 1, 2, 6
NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, NFTA_CHAIN_HOOK, NFTA_CHAIN_USE = 1, 3, 4, 6
NFTA_RULE_TABLE, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS, NFTA_RULE_USERDATA = 1, 2, 4, 7
NFTA_SET_TABLE, NFTA_SET_NAME, NFTA_SET_FLAGS, NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN, NFTA_SET_TIMEOUT = 1, 2, 3, 4, 5, 11
NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_ELEMENTS = 1, 2, 3
NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_FLAGS, NFTA_DATA_VALUE = 1, 1, 3, 1
NFT_SET_ELEM_INTERVAL_END = 1
NFTA_GEN_ID, NFTA_GEN_PROC_PID, NFTA_GEN_PROC_NAME = 1, 2, 3
NFNLGRP_NFTABLES = 7
_NAME_OF_TABLE = 1  # the attribute, of every kind of message: NFTA_TABLE_NAME, NFTA_RULE_TABLE, ...
NLA_F_NESTED = 0x8000
_NFGENMSG = struct.Struct(">BBH")  # family, version, resource
_INET = _NFGENMSG.pack(1, 0, 0)  # NFPROTO_INET
_ANY = _NFGENMSG.pack(0, 0, 0)
_BATCH = _NFGENMSG.pack(0, 0, NFNL_SUBSYS_NFTABLES)
_END = message(NFNL_MSG_BATCH_END, 0, _BATCH)
_NAME = TABLE.encode() + b"\0"


NEW_GENERATION = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN


def _step(text: str, kind: int, body: bytes, *, flags: int = NLM_F_ACK, values: tuple[object, ...] = ()) -> Step:
    return Step(text, message(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, body), values)


GET_GENERATION = _step("nft monitor", NFT_MSG_GETGEN, _ANY)
GET_TABLE = _step(f"nft list table inet {TABLE}", NFT_MSG_GETTABLE, _INET + attribute(NFTA_TABLE_NAME, _NAME))


def get_chain(name: str) -> Step:
    """Ask for a chain of the table."""
    names = attribute(NFTA_CHAIN_TABLE, _NAME) + attribute(NFTA_CHAIN_NAME, name.encode() + b"\0")
    return _step(f"nft list chain inet {TABLE} %s", NFT_MSG_GETCHAIN, _INET + names, values=(name,))


def get_rules(chain: str) -> Step:
    """Ask for the rules of a chain."""
    names = attribute(NFTA_RULE_TABLE, _NAME) + attribute(NFTA_RULE_CHAIN, chain.encode() + b"\0")
    text = f"nft list chain inet {TABLE} %s"
    return _step(text, NFT_MSG_GETRULE, _INET + names, flags=NLM_F_DUMP, values=(chain,))


def get_all_rules() -> Step:
    """Ask for the rules of all chains of the table."""
    names = attribute(NFTA_RULE_TABLE, _NAME)
    return _step(f"nft list table inet {TABLE}", NFT_MSG_GETRULE, _INET + names, flags=NLM_F_DUMP)


def get_sets() -> Step:
    """Ask for the sets of the table, without their elements."""
    names = attribute(NFTA_SET_TABLE, _NAME)
    return _step(f"nft list sets table inet {TABLE}", NFT_MSG_GETSET, _INET + names, flags=NLM_F_DUMP)


def get_elements(set_name: str) -> Step:
    """Ask for the elements of a set."""
    text, body = f"nft list set inet {TABLE} %s", _INET + _of_set(set_name)
    return _step(text, NFT_MSG_GETSETELEM, body, flags=NLM_F_DUMP, values=(set_name,))


def change(generation: int, add: Iterable[Element], delete: Iterable[Element]) -> list[Step]:
    """Return the steps of one transaction: elements that may be there are added, others that may be missing deleted.

    With a `generation` the kernel refuses all of it (ERESTART) if another commit came after that one. What is deleted
    is added before, since DELSETELEM of a missing element fails the whole batch (DESTROYSETELEM is of Linux 6.3).

    NLM_F_ECHO has the kernel tell of the new generation that the commit begins, and of none when nothing was changed;
    nf_tables_gen_notify looks for that flag at the first message after the beginning.
    """
    changes = [("add", NFT_MSG_NEWSETELEM, NLM_F_CREATE, list(add))]
    if gone := list(delete):
        changes += [("add", NFT_MSG_NEWSETELEM, NLM_F_CREATE, gone), ("delete", NFT_MSG_DELSETELEM, 0, gone)]
    genid = attribute(NFNL_BATCH_GENID, generation.to_bytes(4, "big")) if generation else b""
    steps = [Step("nft -f -", message(NFNL_MSG_BATCH_BEGIN, 0, _BATCH + genid))]
    for verb, kind, flags, elements in changes:
        for name, members in groupby(sorted(elements, key=_set_name), key=_set_name):
            listed = list(members)
            body = _INET + _of_set(name) + _element_list(listed)
            echo = NLM_F_ECHO if len(steps) == 1 else 0
            text, values = f"nft {verb} element inet {TABLE} %s {{ %s }}", (name, _Written(listed))
            steps.append(_step(text, kind, body, flags=flags | echo | NLM_F_ACK, values=values))
    last = steps.pop()
    # In one step with the last change: the end is not acknowledged before Linux 6.10, and numbers of it say nothing.
    return [*steps, Step(last.text, last.message + _END, last.values)]


def generation_of(kind: int, body: bytes) -> int | None:
    """Return the generation that a message tells of, if it does."""
    if kind != NEW_GENERATION:
        return None
    return int.from_bytes(attributes(body, _NFGENMSG.size)[NFTA_GEN_ID], "big")


def author_of(body: bytes) -> str:
    """Return the program that began a generation, as `nft monitor` names it."""
    found = attributes(body, _NFGENMSG.size)
    name = found.get(NFTA_GEN_PROC_NAME, b"").rstrip(b"\0").decode("utf-8", "replace")
    return f"{name or 'a program'} (process {int.from_bytes(found.get(NFTA_GEN_PROC_PID, b''), 'big')})"


def changes_skeleton(kind: int, body: bytes) -> bool:
    """Report whether a notification tells of a change of the table, other than of pods' elements."""
    if kind >> 8 != NFNL_SUBSYS_NFTABLES:
        return False
    if kind & 0xFF in {NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM} and body.startswith(_OF_POD_SETS, _NFGENMSG.size):
        return False
    return attributes(body, _NFGENMSG.size).get(_NAME_OF_TABLE) == _NAME


def table_and_chain_attributes(body: bytes) -> dict[int, bytes]:
    """Read the attributes of a table, a chain or a rule."""
    return attributes(body, _NFGENMSG.size)


def comment_of(userdata: bytes) -> str:
    """Read a comment out of libnftnl's encoding (udata.h): type 0, length, text with a final zero."""
    if len(userdata) < 2 or userdata[0] != 0:
        return ""
    return userdata[2 : 2 + userdata[1]].rstrip(b"\0").decode("utf-8", "replace")


def elements_of(set_name: str, body: bytes) -> Iterator[Element]:
    """Read the elements of one message of a set's listing."""
    yield from (Element.of_key(set_name, key) for key, _ in bounds_of(body))


def bounds_of(body: bytes) -> Iterator[tuple[bytes, bool]]:
    """Read the keys of one message of a set's listing, and of each whether it is behind an interval."""
    listed = attributes(body, _NFGENMSG.size).get(NFTA_SET_ELEM_LIST_ELEMENTS, b"")
    for _, element in attribute_list(listed):
        found = attributes(element, 0)
        flags = int.from_bytes(found.get(NFTA_SET_ELEM_FLAGS, b""), "big")
        yield attributes(found[NFTA_SET_ELEM_KEY], 0)[NFTA_DATA_VALUE], bool(flags & NFT_SET_ELEM_INTERVAL_END)


class _Written:
    """Elements that are written as text only when the step is read."""

    def __init__(self, elements: list[Element]) -> None:
        self.elements = elements

    def __str__(self) -> str:
        return ", ".join(map(str, self.elements))


def _set_name(element: Element) -> str:
    return element.set_name


@cache
def _of_set(name: str) -> bytes:
    return attribute(NFTA_SET_ELEM_LIST_TABLE, _NAME) + attribute(NFTA_SET_ELEM_LIST_SET, name.encode() + b"\0")


_OF_POD_SETS = tuple(map(_of_set, POD_SETS))  # how a message about their elements begins


def _element_list(elements: Iterable[Element]) -> bytes:
    keys = [element.key for element in elements]
    listed = b"".join(_element_header(len(key)) + key for key in keys)
    return attribute(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, listed)


@cache
def _element_header(size: int) -> bytes:
    """Return the headers of an element's three nested attributes before a key of so many bytes, whole words."""
    value = attribute(NFTA_DATA_VALUE, bytes(size))
    element = attribute(NFTA_LIST_ELEM | NLA_F_NESTED, attribute(NFTA_SET_ELEM_KEY | NLA_F_NESTED, value))
    return element[:-size]
