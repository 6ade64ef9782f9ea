"""Addresses that lead somewhere already, and so are not handed out, with the words that say where."""

from __future__ import annotations

from collections.abc import Mapping

from slash80.addressing.family import Address
from slash80.addressing.pool import Pool, Range
from slash80.errors import BelongsToAnother

_SHOWN = 3


class Occupied:
    """Ranges with words. Single addresses may be many, and are looked up."""

    def __init__(self, words: Mapping[Range, str] | None = None) -> None:
        """Take these ranges, which may overlap."""
        self._words: dict[Range, str] = {}
        self._single: dict[Address, str] = {}
        self.ranges: tuple[Range, ...] = ()  # those of more than one address
        self.add(words or {})

    def add(self, words: Mapping[Range, str]) -> None:
        """Take more."""
        self._words.update(words)
        self._single.update((taken.first, text) for taken, text in words.items() if taken.first == taken.last)
        self.ranges += tuple(taken for taken in words if taken.first != taken.last)

    def why(self, address: Address) -> str:
        """Return where an address is routed already; empty when it is not."""
        wide = next((taken for taken in self.ranges if address in taken), None)
        return self._words[wide] if wide else self._single.get(address, "")

    def left_of(self, pool: Pool) -> list[Range]:
        """Return what is left of a pool; raise BelongsToAnother when that is nothing because of these."""
        left, told = pool.left(self._words), self.told(pool)
        if told and not left:
            msg = f"no address of {pool} can be handed out, because {told}"
            raise BelongsToAnother(f"{msg}; delete what is in the way, or change {pool.family.key}.prefixes")
        return left

    def told(self, pool: Pool) -> str:
        """Return what is in the way of a pool's addresses, of what takes most of them first; empty when nothing is."""
        inside = [taken for taken in self._words if pool.prefix_of(taken.first)]
        inside.sort(key=lambda taken: (int(taken.first) - int(taken.last), int(taken.first)))
        found = [self._words[taken] for taken in inside]
        more = f" and {len(found) - _SHOWN} more are in the way" if len(found) > _SHOWN else ""
        return ", ".join(found[:_SHOWN]) + more
