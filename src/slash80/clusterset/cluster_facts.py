"""What the program has to know of its cluster and cannot watch: asked at the start, and again every few minutes.

What it does depends on all of it from the first moment on, so where something has changed it is started again, by which
nothing is lost: it happens once in the life of a cluster, when its API gets another resource or its Services a family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from slash80.addressing.family import Prefix
from slash80.cluster.api import Api
from slash80.clusterset import dry_run
from slash80.clusterset.lists import Versions, versions
from slash80.clusterset.service_ranges import service_ranges


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """The versions of what not every cluster has, the families of its Services in their order, and their ranges."""

    versions: Versions
    families: tuple[int, ...]
    services: tuple[Prefix, ...] = ()


def ask(api: Api, namespace: str) -> ClusterFacts:
    """Ask for all of it; raise InvalidConfig where there are no ServiceExports, Refused or Unreachable."""
    return ClusterFacts(versions(api), dry_run.families(api, namespace), service_ranges(api, namespace))


class Recheck:
    """Asks again, and says what has changed when two answers in a row say so: an API server that starts says less."""

    def __init__(
        self,
        known: ClusterFacts,
        again: Callable[[], ClusterFacts],
        *,
        soon: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        """Begin with what is known; `soon` has `look` called again before long, `lost` is called with what changed."""
        self._known, self._ask, self._soon, self._lost = known, again, soon, lost
        self._last = known

    def look(self) -> None:
        """Ask once; raise what asking raises."""
        before, self._last = self._last, self._ask()
        if self._last == self._known:
            return
        if self._last == before:
            self._lost("; ".join(_differences(self._known, self._last)))
        else:
            self._soon()


def _differences(before: ClusterFacts, after: ClusterFacts) -> Iterator[str]:
    for title, was, now in (
        ("the version of the Multi-Cluster Services API", before.versions.services, after.versions.services),
        ("the version of ClusterProperties", before.versions.properties, after.versions.properties),
        ("the IP families of this cluster's Services", _families(before), _families(after)),
        ("the addresses of this cluster's Services", _ranges(before), _ranges(after)),
    ):
        if was != now:
            yield f"{title} changed from {was or 'unknown'} to {now or 'unknown'}"


def _families(facts: ClusterFacts) -> str:
    return ", ".join(f"IPv{family}" for family in facts.families)


def _ranges(facts: ClusterFacts) -> str:
    return ", ".join(map(str, facts.services))
