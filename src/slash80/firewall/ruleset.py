"""The table's skeleton as nft text: settings in, text out, nothing else.

The constructs are old and plain, so that any nft on the node can list them, and load again what it listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from slash80.addressing.family import FAMILIES, Family
from slash80.firewall.chains import (
    control,
    echo,
    edge,
    forged,
    masquerade,
    midstream,
    neighbours,
    reverse_path,
    services,
    source,
    trusted,
    untrusted,
)
from slash80.firewall.records import Chain, NamedSet, Ruleset, Settings


def build(settings: Settings) -> Ruleset:
    """Return all sets and chains. Older nft reads from the top, so a chain comes before those that jump to it."""
    chains = (
        *echo.chains(settings),
        untrusted.chain(settings),
        *midstream.chains(settings),
        edge.chain(settings),
        *reverse_path.chains(settings),
        forged.chain(),
        control.chain(),
        neighbours.chain(),
        source.chain(),
        masquerade.chain(settings),
    )
    lines = [line for one in _sets(settings) for line in _set_lines(one)]
    lines += [line for chain in chains for line in _chain_lines(chain)]
    text = "\n".join(f"\t{line}" for line in lines)
    return Ruleset(text, hashlib.sha256(text.encode()).hexdigest()[:32], chains)


def _sets(settings: Settings) -> Iterator[NamedSet]:
    yield from midstream.sets(settings)
    for family in FAMILIES:
        yield from _sets_of(family, settings)


def _sets_of(family: Family, settings: Settings) -> Iterator[NamedSet]:
    yield from trusted.sets(family, settings)
    yield from masquerade.sets(family, settings)
    yield from services.sets(family, settings)
    yield from echo.sets(family)
    yield from forged.sets(family)
    yield from reverse_path.sets(family)
    yield from neighbours.sets(family)
    yield from source.sets(family)


def _set_lines(one: NamedSet) -> Iterator[str]:
    yield from (f"set {one.name} {{", f"\ttype {one.type}; {one.properties}".rstrip())
    if one.elements:
        yield f"\telements = {{ {', '.join(one.elements)} }}"
    yield "}"


def _chain_lines(chain: Chain) -> Iterator[str]:
    yield f"chain {chain.name} {{"
    yield from (f"\t{line}" for line in (*filter(None, [chain.hook]), *chain.rules))
    yield "}"
