"""What the table of NetworkPolicies always has, as nft text: a base chain, the maps that it asks, and what drops.

It is apart from the base table, which is replaced as one and by every ADD that finds it changed. The base chain is a
forward hook after `edge`: a Service's address was replaced by its endpoint's (dstnat is -100), the source is the
client's (srcnat is 100), and forged ones are gone. Between a node and its own pods nothing is forwarded, so that is
always allowed, as the API wants it for the kubelet's probes.

What one direction allows is returned to the base chain and not accepted, so a packet between two pods of the node has
to pass `egress` and `ingress`, without packet marks. There is one base chain, not one a direction: a packet of an
established connection, as most are, is asked once, and by no link.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from slash80.addressing.family import FAMILIES, IPV4, IPV6, Family, family_of
from slash80.firewall.drops import dropped
from slash80.firewall.records import ABOUT, PODS, POLICY_TABLE, Chain, NamedSet, word
from slash80.policy.direction import Direction
from slash80.policy.records import ACCEPT, CLOSED, DROPPED, Dispatched

TABLE = POLICY_TABLE
CLOSED_CHAIN, _ENDED = "closed", "ended"
BASE_CHAIN = "policies"
DROPPING = (*DROPPED.values(), CLOSED_CHAIN, _ENDED)  # the chains that drop; all others only decide where to go
_HOOK = "type filter hook forward priority filter; policy accept;"
# Words for the link and the address of the pod that a chain judges.
_SUBJECTS = {Direction.EGRESS: ("iifname", "saddr"), Direction.INGRESS: ("oifname", "daddr")}
_TYPES = {
    "a": "ipv{}_addr",
    "b": "ipv{}_addr",
    "n": "ipv{}_addr . inet_proto . inet_service",
    "s": "ipv{0}_addr . ipv{0}_addr",
}


def map_of(key: Dispatched) -> str:
    """Return the name of the map that a key is in."""
    return _map_name(key.direction, family_of(key.address))


def _map_name(direction: Direction, family: Family) -> str:
    return f"{direction}{family.version}"


MAPS = {
    _map_name(direction, family): NamedSet(
        _map_name(direction, family), f"ifname . ipv{family.version}_addr", data="verdict"
    )
    for direction in Direction
    for family in FAMILIES
}


def direction_of(name: str) -> Direction:
    """Return the direction of a map or of a policies' chain, whose names begin with its letter."""
    return Direction.EGRESS if name.startswith("e") else Direction.INGRESS


def set_of(name: str) -> NamedSet:
    """Return a set of peers, of which the name says what it holds and of which family; raise LookupError for others.

    Addresses (a), ranges of them (b, an interval set), named ports (n), or pods that reach themselves (self).
    """
    kind, version = _TYPES[name[0]], name.removeprefix("self" if name[0] == "s" else name[0])[:1]
    family = {"4": IPV4, "6": IPV6}[version]
    return NamedSet(name, kind.format(family.version), "flags interval;" if name[0] == "b" else "")


def chain_of(verdict: str) -> str:
    """Return the chain that a verdict leads to; empty for the one that accepts."""
    return {ACCEPT: "", CLOSED: CLOSED_CHAIN}.get(verdict, verdict)


def verdict_of(chain: str) -> str:
    """Return the verdict that leads to a chain."""
    return {"": ACCEPT, CLOSED_CHAIN: CLOSED}.get(chain, chain)


def first_rule(chain: str) -> str:
    """Return what stands before the rules of every policies' chain.

    A reply that a Service's translation lost would else leave with an address that its receiver does not know.
    """
    return f"ct state invalid goto {DROPPED[direction_of(chain)]}"


def rule_of(words: str) -> str:
    """Return a rule of a policies' chain as the table has it: what it accepts goes on to the other direction."""
    return f"{words.removesuffix('accept')}return" if words.endswith("accept") else words


def skeleton(mark: int | None) -> str:
    """Return what stands in the table whatever the policies are; `mark` is the bit of connections that they ended."""
    lines = [line for one in MAPS.values() for line in (f"map {one.name} {{", f"\ttype {one.type} : {one.data};", "}")]
    for chain in chains(mark):
        hook = [f"\t{chain.hook}"] if chain.hook else []
        lines += [f"chain {chain.name} {{", *hook, *(f"\t{rule}" for rule in chain.rules), "}"]
    return "\n".join(f"\t{line}" for line in lines)


def chains(mark: int | None) -> tuple[Chain, ...]:
    """Return the chains that are always there. Older nft reads from the top, so each stands before who goes there."""
    return (
        *(Chain(DROPPED[direction], tuple(dropped(direction))) for direction in Direction),
        Chain(CLOSED_CHAIN, tuple(dropped("closed"))),
        # Other programs may use the bit for connections that are no pod's.
        Chain(_ENDED, (f"iifname != {PODS} oifname != {PODS} accept", *dropped("ended"))),
        *(Chain(str(direction), tuple(_dispatching(direction))) for direction in Direction),
        Chain(BASE_CHAIN, tuple(_base(mark)), _HOOK),
    )


def _base(mark: int | None) -> Iterator[str]:
    if mark is not None:
        yield f"ct mark and {1 << mark:#010x} == {1 << mark:#010x} goto {_ENDED}"
    yield "ct state established,related accept"
    for direction in (Direction.EGRESS, Direction.INGRESS):
        yield f"{_SUBJECTS[direction][0]} {PODS} jump {direction}"


def _dispatching(direction: Direction) -> Iterator[str]:
    link, address = _SUBJECTS[direction]
    for family in FAMILIES:
        yield f"{link} . {word(family)} {address} vmap @{_map_name(direction, family)}"
    # Every pod is in the maps before its link exists, so this is one that was lost, or another program deleted it.
    yield f"goto {CLOSED_CHAIN}"


def _layout() -> str:
    fixed = (skeleton(None), *(first_rule(_map_name(direction, IPV4)) for direction in Direction))
    return hashlib.sha256("\n".join(fixed).encode()).hexdigest()[:16]


LAYOUT = _layout()
# and how many rules they have at least
FIXED = {chain.name: len(chain.rules) for chain in (*chains(None), Chain(ABOUT, ()))}


def comment(mark: int | None) -> str:
    """Return what the table says of itself: which layout it has, and the bit of connections that were ended."""
    return f"{LAYOUT} {'-' if mark is None else mark}"
