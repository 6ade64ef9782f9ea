"""Messages of nf_tables as steps, each with the `nft` command that says the same.

Numbers in attributes are big-endian here, other than in rtnetlink. A change is a batch: a message that begins it, the
changes, one that ends it, all in one datagram, of which the kernel does everything or nothing.
Source: include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h; net/netfilter/nfnetlink.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import islice

from slash80.firewall.elements import POD_SETS
from slash80.firewall.records import POLICY_TABLE, TABLE, Element, NamedSet, Part
from slash80.netlink.batches import Batches
from slash80.netlink.codec import Step, attribute, attribute_list, attributes, message
from slash80.netlink.constants import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_ECHO

NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END = 0x10, 0x11
NFNL_BATCH_GENID = 1
NFNL_SUBSYS_NFTABLES = 10
NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETSET = 1, 4, 7, 10
NFT_MSG_NEWSETELEM, NFT_MSG_GETSETELEM, NFT_MSG_DELSETELEM = 12, 13, 14
NFT_MSG_NEWGEN, NFT_MSG_GETGEN = 15, 16
NFTA_TABLE_NAME, NFTA_TABLE_FLAGS, NFTA_TABLE_USERDATA = 1, 2, 6
NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, NFTA_CHAIN_HOOK, NFTA_CHAIN_USE, NFTA_CHAIN_USERDATA = 1, 3, 4, 6, 12
NFTA_RULE_TABLE, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS, NFTA_RULE_USERDATA = 1, 2, 4, 7
NFTA_SET_TABLE, NFTA_SET_NAME, NFTA_SET_FLAGS, NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN, NFTA_SET_TIMEOUT = 1, 2, 3, 4, 5, 11
NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_ELEMENTS = 1, 2, 3
NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_DATA, NFTA_SET_ELEM_FLAGS, NFTA_SET_ELEM_KEY_END = 1, 2, 3, 10
NFTA_LIST_ELEM, NFTA_DATA_VALUE = 1, 1
NFTA_SET_ELEM_TIMEOUT, NFTA_SET_ELEM_EXPIRATION = 4, 5
NFT_SET_ELEM_INTERVAL_END, NFT_SET_ANONYMOUS = 1, 1
NFTA_GEN_ID, NFTA_GEN_PROC_PID, NFTA_GEN_PROC_NAME = 1, 2, 3
NFNLGRP_NFTABLES = 7
_NAME_OF_TABLE = 1  # the attribute, of every kind of message: NFTA_TABLE_NAME, NFTA_RULE_TABLE, ...
NLA_F_NESTED = 0x8000
_NLA_HEADER = 4  # bytes: length and type of an attribute
_NFGENMSG = struct.Struct(">BBH")  # family, version, resource
_FAMILIES = {"inet": _NFGENMSG.pack(1, 0, 0), "arp": _NFGENMSG.pack(3, 0, 0)}  # NFPROTO_INET, NFPROTO_ARP
INET = _FAMILIES["inet"]
_ANY = _NFGENMSG.pack(0, 0, 0)
_BATCH = _NFGENMSG.pack(0, 0, NFNL_SUBSYS_NFTABLES)
_END = message(NFNL_MSG_BATCH_END, 0, _BATCH)
_NAME = TABLE.encode() + b"\0"
_ADD = ("add", NFT_MSG_NEWSETELEM, NLM_F_CREATE)
_BATCHES, _FEW = Batches(), 8  # elements whose messages are put together once for each shape
_AT_ONCE = 500  # elements: an attribute has at most 64 KiB, and a socket's send buffer is limited (wmem_default)
Change = tuple[
    str, int, bytes, int, tuple[object, ...]
]  # text, kind, body behind its header, flags, values of the text
NEW_GENERATION = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN


def step(text: str, kind: int, body: bytes, *, flags: int = NLM_F_ACK, values: tuple[object, ...] = ()) -> Step:
    """Return a message about nf_tables, with the `nft` command that says the same."""
    return Step(text, message(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, body), values)


GET_GENERATION = step("nft monitor", NFT_MSG_GETGEN, _ANY)
GET_TABLE, GET_POLICY_TABLE = (
    step(f"nft list table inet {name}", NFT_MSG_GETTABLE, INET + attribute(NFTA_TABLE_NAME, name.encode() + b"\0"))
    for name in (TABLE, POLICY_TABLE)
)


# Of all tables of the family: the kernel looks at no name here (nf_tables_dump_chains).
GET_CHAINS = step("nft list chains inet", NFT_MSG_GETCHAIN, INET, flags=NLM_F_DUMP)


def get_chain(name: str, table: str = TABLE) -> Step:
    """Ask for a chain of the table, or of another one."""
    names = attribute(NFTA_CHAIN_TABLE, table.encode() + b"\0") + attribute(NFTA_CHAIN_NAME, name.encode() + b"\0")
    return step(f"nft list chain inet {table} %s", NFT_MSG_GETCHAIN, INET + names, values=(name,))


def get_rules(chain: str, table: str = TABLE) -> Step:
    """Ask for the rules of a chain of the table, or of another one."""
    names = attribute(NFTA_RULE_TABLE, table.encode() + b"\0") + attribute(NFTA_RULE_CHAIN, chain.encode() + b"\0")
    text = f"nft list chain inet {table} %s"
    return step(text, NFT_MSG_GETRULE, INET + names, flags=NLM_F_DUMP, values=(chain,))


def get_all_rules(family: str = "inet", table: str = TABLE) -> Step:
    """Ask for the rules of all chains of the table, or of the one for `arp`, or of another table."""
    body = _FAMILIES[family] + attribute(NFTA_RULE_TABLE, table.encode() + b"\0")
    return step(f"nft list table {family} {table}", NFT_MSG_GETRULE, body, flags=NLM_F_DUMP)


def get_sets(table: str = TABLE) -> Step:
    """Ask for the sets of the table, or of another one, without their elements."""
    names = attribute(NFTA_SET_TABLE, table.encode() + b"\0")
    return step(f"nft list sets table inet {table}", NFT_MSG_GETSET, INET + names, flags=NLM_F_DUMP)


def get_elements(set_name: str, table: str = TABLE) -> Step:
    """Ask for the elements of a set of the table, or of another one."""
    text, body = f"nft list set inet {table} %s", INET + of_set(set_name, table)
    return step(text, NFT_MSG_GETSETELEM, body, flags=NLM_F_DUMP, values=(set_name,))


def change(generation: int, add: Iterable[Element], delete: Iterable[Element]) -> Sequence[Step]:
    """Return the steps of one transaction: elements that may be there are added, others that may be missing deleted.

    With a `generation` the kernel refuses all of it (ERESTART) if another commit came after that one. What is deleted
    is added before, since DELSETELEM of a missing element fails the whole batch (DESTROYSETELEM is of Linux 6.3).

    NLM_F_ECHO has the kernel tell of the new generation that the commit begins, and of none when nothing was changed;
    nf_tables_gen_notify looks for that flag at the first message after the beginning.
    """
    added, gone = list(add), list(delete)
    if generation and not gone and len(added) <= _FEW and all(map(_is_plain, added)):  # of a usual ADD
        added.sort(key=_set_name)
        keys = tuple([(one.set_name, len(one.key)) for one in added])
        parts = [part for one in added for part in one.key]
        return _BATCHES.fill(_added, keys, (generation.to_bytes(4, "big"), *parts))
    changes = [(*_ADD, added)]
    if gone:
        changes += [(*_ADD, gone), ("delete", NFT_MSG_DELSETELEM, 0, gone)]
    return _changed(generation.to_bytes(4, "big") if generation else b"", changes)


def _is_plain(element: Element) -> bool:
    return bool(element.ifname) and not element.end and not element.data


def _added(keys: tuple[tuple[str, int], ...], values: tuple[bytes, *tuple[Part, ...]]) -> list[Step]:
    """Return the steps that add elements with these keys: of each the set, and how many of the parts are its key."""
    generation, *parts = values
    rest = iter(parts)
    elements = [Element(name, tuple(islice(rest, count))) for name, count in keys]
    return _changed(generation, [(*_ADD, elements)])


def _changed(generation: bytes, changes: Iterable[tuple[str, int, int, list[Element]]]) -> list[Step]:
    parts: list[Change] = []
    for verb, kind, flags, elements in changes:
        for name, some in _messages(elements):
            body = of_set(name) + _element_list(some, with_data=kind == NFT_MSG_NEWSETELEM)
            text = f"nft {verb} element inet {TABLE} %s {{ %s }}"
            parts.append((text, kind, body, flags, (name, _Written(some))))
    return transaction(parts, attribute(NFNL_BATCH_GENID, generation) if generation else b"")


def transaction(changes: Iterable[Change], genid: bytes = b"") -> list[Step]:
    """Return the steps of changes that the kernel does all or none of; see `change` for the rest."""
    steps = [Step("nft -f -", message(NFNL_MSG_BATCH_BEGIN, 0, _BATCH + genid))]
    for text, kind, body, flags, values in changes:
        echo = NLM_F_ECHO if len(steps) == 1 else 0
        steps.append(step(text, kind, INET + body, flags=flags | echo | NLM_F_ACK, values=values))
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


def text_of(value: bytes) -> str:
    """Read a name."""
    return value.rstrip(b"\0").decode("utf-8", "replace")


def comment_of(userdata: bytes) -> str:
    """Read a comment out of libnftnl's encoding (udata.h): type 0, length, text with a final zero."""
    if len(userdata) < 2 or userdata[0] != 0:
        return ""
    return userdata[2 : 2 + userdata[1]].rstrip(b"\0").decode("utf-8", "replace")


def elements_of(found: NamedSet, body: bytes) -> Iterator[Element]:
    """Read the elements of one message of a set's listing."""
    for element in listed_elements(body):
        key, end, data = map(element.get, (NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_KEY_END, NFTA_SET_ELEM_DATA))
        yield Element.of_packed(found, (_value(key), _value(end), _value(data)))


def bounds_of(body: bytes) -> Iterator[tuple[bytes, bool]]:
    """Read the keys of one message of a set's listing, and of each whether it is behind an interval."""
    for found in listed_elements(body):
        flags = int.from_bytes(found.get(NFTA_SET_ELEM_FLAGS, b""), "big")
        yield _value(found[NFTA_SET_ELEM_KEY]), bool(flags & NFT_SET_ELEM_INTERVAL_END)


def intervals_of(body: bytes) -> Iterator[bytes]:
    """Read the elements of one message of a set's listing as bytes: keys, whether behind an interval, and last keys."""
    for found in listed_elements(body):
        parts = (found.get(kind, b"") for kind in (NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_FLAGS, NFTA_SET_ELEM_KEY_END))
        yield b"".join(parts)


def listed_elements(body: bytes) -> Iterator[dict[int, bytes]]:
    """Read the elements in one message of a set's listing, each with its attributes."""
    listed = attributes(body, _NFGENMSG.size).get(NFTA_SET_ELEM_LIST_ELEMENTS, b"")
    return (attributes(element, 0) for _, element in attribute_list(listed))


def _value(data: bytes | None) -> bytes:
    return attributes(data, 0)[NFTA_DATA_VALUE] if data else b""


def times_of(body: bytes) -> Iterator[tuple[int, int]]:
    """Read of each element in one message of a set's listing after how many milliseconds it goes, and what is left."""
    for found in listed_elements(body):
        if NFTA_SET_ELEM_EXPIRATION in found:
            timeout, left = (found.get(kind, b"") for kind in (NFTA_SET_ELEM_TIMEOUT, NFTA_SET_ELEM_EXPIRATION))
            yield int.from_bytes(timeout, "big"), int.from_bytes(left, "big")


class _Written:
    """Elements that are written as text only when the step is read."""

    def __init__(self, elements: list[Element]) -> None:
        self.elements = elements

    def __str__(self) -> str:
        return ", ".join(map(str, self.elements))


def _set_name(element: Element) -> str:
    return element.set_name


@lru_cache(maxsize=64)  # the sets of policies have ever new names
def of_set(name: str, table: str = TABLE) -> bytes:
    """Return how a message about elements of a set begins, behind its header."""
    of_table = attribute(NFTA_SET_ELEM_LIST_TABLE, table.encode() + b"\0")
    return of_table + attribute(NFTA_SET_ELEM_LIST_SET, name.encode() + b"\0")


_OF_POD_SETS = tuple(of_set(one.name) for one in POD_SETS)  # how a message about their elements begins


def _messages(elements: Iterable[Element]) -> Iterator[tuple[str, list[Element]]]:
    """Divide elements by set, and into as many as one message can have."""
    by_set: dict[str, list[Element]] = {}
    for element in elements:
        by_set.setdefault(element.set_name, []).append(element)
    for name in sorted(by_set):
        for part in divided(by_set[name]):
            yield name, part


def divided(elements: Iterable[Element]) -> Iterator[list[Element]]:
    """Divide elements into lists of as many as one message can have, and as one transaction of `change` should."""
    listed = list(elements)
    return (listed[start : start + _AT_ONCE] for start in range(0, len(listed), _AT_ONCE))


def _element_list(elements: Iterable[Element], *, with_data: bool) -> bytes:
    """Return the attribute with all elements; one is deleted by its key."""
    listed = []
    for element in elements:
        key, end, data = element.packed
        if not with_data:
            data = b""
        of_key, of_end, of_data = _headers(len(key), len(end), len(data))
        listed += [of_key, key, of_end, end, of_data, data, bytes(-len(data) % 4)]
    return attribute(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, b"".join(listed))


@cache
def _headers(key: int, end: int, data: int) -> tuple[bytes, bytes, bytes]:
    """Return the headers of an element's nested attributes before key, end and data of so many bytes."""
    sizes = {NFTA_SET_ELEM_KEY: key, NFTA_SET_ELEM_KEY_END: end, NFTA_SET_ELEM_DATA: data}
    parts = [
        attribute(kind | NLA_F_NESTED, attribute(NFTA_DATA_VALUE, bytes(size))) if size else b""
        for kind, size in sizes.items()
    ]
    header = attribute(NFTA_LIST_ELEM | NLA_F_NESTED, b"".join(parts))
    of_key, of_end, of_data = (part[: 2 * _NLA_HEADER] for part in parts)
    return header[:_NLA_HEADER] + of_key, of_end, of_data
