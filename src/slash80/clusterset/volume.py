"""How much of one cluster's exports others take: counted alike where it is exported and where it is imported.

Without a bound one Service, or one hostile member, would take what all others need: memory of the program, objects of
the API server, and the bytes of an answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from slash80.clusterset.records import Export, Name

SERVICES, ENDPOINTS, SLICES, PORTS = "Services", "endpoints", "EndpointSlices", "ports of EndpointSlices"
BYTES = "bytes of text"
# An EndpointSlice is written for each set of ports, so there may be as many as endpoints, each with a hundred ports.
# An answer ends after 32 MiB, so one that is longer would take all of a cluster's exports from the others.
MOST = {SERVICES: 1000, ENDPOINTS: 50_000, SLICES: 5_000, PORTS: 50_000, BYTES: 24 << 20}
OF_ONE = {ENDPOINTS: 10_000, SLICES: 1_000, PORTS: 10_000, BYTES: 2 << 20}  # of a Service


def amounts(export: Export) -> Counter[str]:
    """Return what an export takes."""
    return Counter(
        {
            SERVICES: 1,
            ENDPOINTS: sum(len(one.endpoints) for one in export.slices),
            SLICES: len(export.slices),
            PORTS: sum(len(one.ports) for one in export.slices),
        }
    )


class Volume:
    """What is taken of one cluster's exports."""

    def __init__(self, most: Mapping[str, int] = MOST) -> None:
        """Begin with nothing; `most` is how much there may be of what."""
        self._most = most
        self._taken: dict[Name, Counter[str]] = {}
        self._total = Counter[str]()

    def excess(self, wanted: Mapping[str, int]) -> str:
        """Return of what there would be too much with this as well; empty where it is of nothing."""
        return next((what for what, most in self._most.items() if self._total[what] + wanted.get(what, 0) > most), "")

    def take(self, name: Name, wanted: Counter[str]) -> None:
        """Count this under a name of which nothing is counted."""
        self._taken[name] = wanted
        self._total.update(wanted)

    def release(self, name: Name) -> None:
        """Count nothing under a name any more."""
        self._total.subtract(self._taken.pop(name, Counter()))
