"""What is to be of each Service of the clusterset in this cluster: what is imported, and what its own exports are told.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from slash80.cluster.objects.serviceexport import ServiceExport
from slash80.clusterset.differences import Wanted
from slash80.clusterset.exporter import Exported, conditions
from slash80.clusterset.merge import merge as merge_all
from slash80.clusterset.records import Export, Merged, Name


@dataclass(frozen=True, slots=True)
class Here:
    """This cluster: its id in the clusterset, the families of its Services in their order, and its namespaces."""

    id: str
    families: tuple[int, ...]
    namespaces: Collection[str]


class Merge(Protocol):
    """What makes imports of all exports."""

    def __call__(self, exports: Mapping[str, Mapping[Name, Export]], *, families: Sequence[int]) -> Merged:
        """Return the imports and the conflicts."""


def wanted(
    others: Mapping[str, Mapping[Name, Export]],
    own: Exported,
    here: Here,
    *,
    serviceexport: Callable[[Name], ServiceExport | None],
    now: str,
    merge: Merge = merge_all,
) -> tuple[Merged, dict[Name, Wanted]]:
    """Merge what all clusters export; return also what is to be of each name.

    `now` is for conditions that change; `merge` may remember what it has merged before.
    """
    exports = {**others, here.id: own.exports} if here.id else {}
    merged = merge(exports, families=here.families)
    imports = {name: one for name, one in merged.imports.items() if name.namespace in here.namespaces}
    result = {name: Wanted(one) for name, one in imports.items()}
    for name, verdict in own.verdicts.items():
        if found := serviceexport(name):
            conflicts = merged.conflicts.get(name, ())
            result[name] = Wanted(imports.get(name), conditions(found, verdict, conflicts, now=now))
    return Merged(imports, merged.conflicts), result
