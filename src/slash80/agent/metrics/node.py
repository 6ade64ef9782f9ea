"""Metrics of what the node has and what the API server told of it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from slash80 import __version__
from slash80.addressing.family import FAMILIES
from slash80.agent.reconcilers.board import Board
from slash80.agent.reconcilers.cluster_view import ClusterView
from slash80.desired.problems import Reason

_REJECTIONS = (
    Reason.PREFIX_SOURCE_FAILED,
    Reason.PREFIX_UNUSABLE,
    Reason.PREFIX_OF_OTHER_NODE,
    Reason.PREFIX_TOO_SHORT,
    Reason.PREFIX_OUTSIDE_CLUSTER,
    Reason.PREFIX_OVERLAPS_SERVICES,
    Reason.PREFIX_OVERLAPS_NODE,
    Reason.PREFIX_HOLDS_NODE_ADDRESS,
)


class NodeMetrics:
    """What the parts know of the node: its prefixes and addresses, and what is wrong."""

    name = "node"

    def __init__(self, board: Board, cluster: ClusterView) -> None:
        """Read nothing yet."""
        self._board, self._cluster = board, cluster

    def collect(self) -> Iterator[Metric]:
        """Return them."""
        build = GaugeMetricFamily("slash80_build_info", "1, with the version of slash80.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield from self._wrong()
        yield from self._prefixes()
        yield from self._addresses()
        ages = GaugeMetricFamily(
            "slash80_watch_age_seconds",
            "Seconds since the API server last said anything of a list that this agent follows, +Inf if it never did; "
            "of a list in which nothing changes it says something every ten minutes at least.",
            labels=["resource"],
        )
        for resource, age in self._cluster.ages.items():
            ages.add_metric([resource], age)
        yield ages

    def _wrong(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily("slash80_ready", "1 if pods can be attached on this node.", value=self._board.ready)
        problems = GaugeMetricFamily(
            "slash80_problems",
            "Problems of this node, by code; `slash80 status` has the sentences, docs/operations.md explains the "
            "codes.",
            labels=["reason"],
        )
        found = [one.reason for one in (*self._board.problems, *self._cluster.problems)]
        for reason in sorted(set(found)):
            problems.add_metric([reason.value], found.count(reason))
        rejected = CounterMetricFamily(
            "slash80_prefixes_rejected",
            "How often a prefix that a source or another node names was found unusable, by problem code.",
            labels=["reason"],
        )
        seen = self._board.problems_seen
        for reason in _REJECTIONS:
            rejected.add_metric([reason.value], seen.get(reason, 0))
        yield from (ready, problems, rejected)

    def _prefixes(self) -> Iterator[Metric]:
        prefixes = GaugeMetricFamily(
            "slash80_prefix_info",
            "1 for each prefix of this node, where it is from, and whether it is active or drains.",
            labels=["family", "prefix", "source", "state"],
        )
        if desired := self._board.desired:
            for family in FAMILIES:
                for entry in desired.node_file.get(family.key, ()):
                    prefix, state = entry["prefix"], entry["state"]
                    prefixes.add_metric([family.key, prefix, desired.sources.get(prefix, ""), state], 1)
        yield prefixes

    def _addresses(self) -> Iterator[Metric]:
        addresses = GaugeMetricFamily(
            "slash80_addresses",
            "Addresses of this node's active prefixes: free, allocated to pods, cooling after their release, or dying "
            "with a pod that is being removed; as of ten seconds ago at most.",
            labels=["family", "state"],
        )
        for one in self._board.addresses:
            for state in ("free", "allocated", "cooling", "dying"):
                addresses.add_metric([one.family.key, state], getattr(one, state))
        yield addresses
        yield CounterMetricFamily(
            "slash80_address_early_reuse",
            "How often an address was handed out before its preferred rest was over, since the boot: too few are left.",
            value=self._board.early_reuses,
        )
