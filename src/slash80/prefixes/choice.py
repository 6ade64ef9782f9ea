"""The choice between the sources: for each family, the first that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from slash80.addressing.family import FAMILIES, Family, Network, family_of
from slash80.errors import CniError

Source = Callable[[], Sequence[Network]]
_SIZES = {4: (8, 30), 6: (64, 120)}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A family's prefixes, and which source they are from."""

    source: str
    prefixes: tuple[Network, ...]


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
        for family in FAMILIES:
            of_family = [prefix for prefix in found if family_of(prefix) is family]
            usable = tuple(prefix for prefix in of_family if _fits(prefix))
            problems += [f"source {name}: {_why_not(prefix)}" for prefix in of_family if prefix not in usable]
            if usable and family not in chosen:
                chosen[family] = Chosen(name, usable)
    return chosen, problems


def _fits(prefix: Network) -> bool:
    shortest, longest = _SIZES[prefix.version]
    return shortest <= prefix.prefixlen <= longest


def _why_not(prefix: Network) -> str:
    shortest, longest = _SIZES[prefix.version]
    return f"{prefix} cannot be used; an IPv{prefix.version} prefix has /{shortest} to /{longest}"
