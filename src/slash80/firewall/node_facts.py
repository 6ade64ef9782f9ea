"""What the table says of the node itself: its own prefixes and addresses, and links that share a route.

This follows from the kernel and from all networks of the node, and not from the settings. So it is written with the
skeleton, is not in its fingerprint, and is replaced by itself when it is found to have changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, summarize_address_range

from slash80.addressing.family import FAMILIES, Address, Prefix
from slash80.firewall.chains.forged import OWN_SETS, own_set
from slash80.firewall.chains.reverse_path import MULTIPATH, multipath_rule
from slash80.firewall.records import TABLE, of_family

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What is the node's own, and for each IPv6 route with several links every ordered pair of those."""

    own: tuple[Prefix, ...] = ()
    multipath: frozenset[Pair] = frozenset()

    @classmethod
    def of(cls, own: Iterable[Prefix], multipath: Iterable[Pair] = ()) -> NodeFacts:
        """Return the facts in order and without overlaps, which an interval set refuses."""
        listed = list(own)
        return cls(tuple(one for family in FAMILIES for one in of_family(family, listed)), frozenset(multipath))

    def holds(self, prefixes: Iterable[Prefix]) -> bool:
        """Report whether all of these prefixes are the node's own."""
        return all(
            any(one.version == prefix.version and prefix.subnet_of(one) for one in self.own)  # type: ignore[arg-type]
            for prefix in prefixes
        )

    def additions(self) -> Iterator[str]:
        """Return the lines in nft's words that add them to a table that says nothing of the node."""
        for family in FAMILIES:
            if found := of_family(family, self.own):
                yield f"add element inet {TABLE} {own_set(family)} {{ {', '.join(map(str, found))} }}\n"
        yield from self.rules()

    def rules(self) -> Iterator[str]:
        """Return those of the lines that add rules."""
        for pair in sorted(self.multipath):
            yield f"add rule inet {TABLE} {MULTIPATH} {multipath_rule(*pair)}\n"


def removals() -> Iterator[str]:
    """Return the lines that remove what a table says of the node."""
    yield from (f"flush set inet {TABLE} {name}\n" for name in OWN_SETS)
    yield f"flush chain inet {TABLE} {MULTIPATH}\n"


def prefixes_of(bounds: Iterable[tuple[bytes, bool]]) -> Iterator[Prefix]:
    """Return the prefixes of an interval set, of whose bounds each is a key and whether it is behind the interval."""
    start: Address | None = None
    for key, is_end in sorted(bounds, key=lambda bound: (bound[0], not bound[1])):
        address = ip_address(key)
        if is_end and start is not None:
            yield from summarize_address_range(start, address - 1)
        start = None if is_end else address
    if start is not None:  # nothing is behind the last address of all
        yield from summarize_address_range(start, ip_address(b"\xff" * len(start.packed)))
