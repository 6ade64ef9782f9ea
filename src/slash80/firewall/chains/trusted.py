"""The prefixes that may open connections to pods: a set for each family, which several chains ask."""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import FAMILIES, Family
from slash80.firewall.records import NamedSet, Settings, prefix_set, word

TRUSTED_SETS = tuple(f"trusted{family.version}" for family in FAMILIES)


def sets(family: Family, settings: Settings) -> Iterator[NamedSet]:
    """Return the set of trusted prefixes, which is there even if it is empty: the rules name it."""
    yield prefix_set("trusted", family, settings.trusted)


def accepted(end: str = "saddr") -> Iterator[str]:
    """Return the rules that accept what comes from there, or with `daddr` what goes there."""
    yield from (f"{word(family)} {end} @trusted{family.version} accept" for family in FAMILIES)
