"""Metrics of the kernel's tables that a node may run out of, and of links that wait for their deletion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from slash80.addressing.attachment import DYING_PREFIX
from slash80.wiring import neighbour_tables, netns

_PROC = Path("/proc")
_LINKS = "thread-self/net/dev"  # without the kernel's rtnl lock, which a listing by netlink takes
_DYING = re.compile(rf"^ *{DYING_PREFIX}[a-z2-7]{{12}}:", re.MULTILINE)
_CONNECTIONS = {
    "slash80_conntrack_entries": ("nf_conntrack_count", "Connections in the kernel's table, of pods and all others."),
    "slash80_conntrack_limit": ("nf_conntrack_max", "How many connections the kernel's table may have."),
}


class ConntrackMetrics:
    """How full the table of connections is; nothing is reported where the kernel has none."""

    name = "conntrack"

    def __init__(self, proc: Path = _PROC) -> None:
        """Read nothing yet."""
        self._folder = proc / "sys/net/netfilter"

    def collect(self) -> Iterator[Metric]:
        """Return them."""
        for name, (file, meaning) in _CONNECTIONS.items():
            path = self._folder / file
            if path.exists():
                yield GaugeMetricFamily(name, meaning, value=int(path.read_text()))


class LinkMetrics:
    """How many links wait for their deletion."""

    name = "links"

    def __init__(self, proc: Path = _PROC) -> None:
        """Read nothing yet."""
        self._links = proc / _LINKS

    def collect(self) -> Iterator[Metric]:
        """Return them."""
        count = len(_DYING.findall(self._links.read_text()))
        text = "Links of deleted pods that wait for their deletion, which is done every few seconds."
        yield GaugeMetricFamily("slash80_graveyard_links", text, value=count)


class NeighbourMetrics:
    """How full the tables of neighbours are."""

    name = "neighbours"

    def collect(self) -> Iterator[Metric]:
        """Return them."""
        entries = GaugeMetricFamily(
            "slash80_neighbours",
            "Entries of the kernel's table of neighbours, which all network namespaces of the node share.",
            labels=["family"],
        )
        limit = GaugeMetricFamily(
            "slash80_neighbours_limit",
            "How many entries that table may have (gc_thresh3); beyond that new neighbours are not reached.",
            labels=["family"],
        )
        with netns.socket_here() as host:
            for family, found in neighbour_tables.fillings(host).items():
                entries.add_metric([family.key], found.entries)
                limit.add_metric([family.key], found.limit)
        yield from (entries, limit)
