"""The table's skeleton as nft text: settings in, text out, nothing else.

The constructs are old and plain, so that any nft on the node can list them, and load again what it listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from slash80.addressing.family import FAMILIES, Family
from slash80.firewall import arp, elements
from slash80.firewall.chains import (
    connection_rates,
    control,
    deleted,
    echo,
    edge,
    exposed,
    forged,
    hostport,
    masquerade,
    metadata,
    midstream,
    neighbours,
    next_hops,
    node,
    reverse_path,
    services,
    source,
    trusted,
    untrusted,
)
from slash80.firewall.records import ABOUT, Chain, NamedSet, Ruleset, Settings


def build(settings: Settings) -> Ruleset:
    """Return all sets and chains. Older nft reads from the top, so a chain comes before those that jump to it."""
    chains = (
        deleted.chain(),
        *echo.chains(settings),
        untrusted.chain(settings),
        *midstream.chains(settings),
        *metadata.chains(settings),
        edge.chain(settings),
        *node.chains(settings),
        *reverse_path.chains(settings),
        forged.chain(),
        control.chain(),
        neighbours.chain(),
        source.chain(),
        *connection_rates.chains(settings),
        *next_hops.chains(),
        *hostport.chains(settings),
        *masquerade.chains(settings),
    )
    lines = [line for one in _sets(settings) for line in _set_lines(one)]
    lines += [line for chain in chains for line in _chain_lines(chain)]
    text = "\n".join(f"\t{line}" for line in lines)
    return Ruleset(text, hashlib.sha256((text + arp.TEXT).encode()).hexdigest()[:32], (*chains, Chain(ABOUT, ())))


def _sets(settings: Settings) -> Iterator[NamedSet]:
    yield from midstream.sets(settings)
    yield from node.sets(settings)
    yield from exposed.sets(settings)
    for family in FAMILIES:
        yield from _sets_of(family, settings)


def _sets_of(family: Family, settings: Settings) -> Iterator[NamedSet]:
    yield from trusted.sets(family, settings)
    yield from masquerade.sets(family, settings)
    yield from services.sets(family, settings)
    yield from metadata.sets(family, settings)
    yield from forged.sets(family)
    yield from reverse_path.sets(family)
    yield from neighbours.sets(family)
    yield from next_hops.sets(family)
    yield from elements.sets(family)


def _set_lines(one: NamedSet) -> Iterator[str]:
    kind, type_ = ("map", f"{one.type} : {one.data}") if one.data else ("set", one.type)
    yield from (f"{kind} {one.name} {{", f"\ttype {type_}; {one.properties}".rstrip())
    if one.elements:
        yield f"\telements = {{ {', '.join(one.elements)} }}"
    yield "}"


def _chain_lines(chain: Chain) -> Iterator[str]:
    yield f"chain {chain.name} {{"
    yield from (f"\t{line}" for line in (*filter(None, [chain.hook]), *chain.rules))
    yield "}"
