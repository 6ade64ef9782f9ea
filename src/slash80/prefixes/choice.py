"""The choice between the sources: for each family, the first that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from slash80.addressing.family import FAMILIES, Family, Prefix, family_of
from slash80.errors import CniError
from slash80.settings import values

Source = Callable[[], Sequence[Prefix]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A family's prefixes, and which source they are from."""

    source: str
    prefixes: tuple[Prefix, ...]


def choose(sources: Mapping[str, Source], order: Sequence[str]) -> tuple[dict[Family, Chosen], list[str]]:
    """Ask the sources in order; give each family's prefixes, and a sentence for each answer that cannot be used.

    A cluster may have IPv4 from `spec.podCIDRs` and IPv6 from elsewhere, so a source may answer for one family only.
    """
    chosen: dict[Family, Chosen] = {}
    problems: list[str] = []
    for name in order:
        try:
            found = sources[name]()
        except CniError as error:
            problems.append(f"source {name}: {error}")
            continue
        addresses_ready = []
        for prefix in found:
            try:
                addresses_ready.append(values.prefix(prefix, prefix.version))
            except ValueError as error:
                problems.append(f"source {name}: {prefix} cannot be used: {error}")
        for family in FAMILIES:
            of_family = tuple(prefix for prefix in addresses_ready if family_of(prefix) is family)
            if of_family and family not in chosen:
                chosen[family] = Chosen(name, of_family)
    return chosen, problems
