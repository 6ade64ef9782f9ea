"""Metrics of the firewall: what it dropped, and how often it and what it knows of pods had to be put right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, Metric

from slash80.agent.reconcilers.board import Board
from slash80.firewall import in_force
from slash80.firewall.listings import Dump
from slash80.firewall.nf_tables import NfTables
from slash80.firewall.policies.layout import DROPPING
from slash80.host import kept_firewall

_OBJECTS = ("firewall", "pod_elements", "policy_table")


class FirewallDrops:
    """What the rules in the kernel have counted. Reading them takes no lock of ours."""

    name = "firewall_drops"

    def __init__(self, make: Callable[[], NfTables] = NfTables) -> None:
        """Ask nothing yet."""
        self._make = make

    def collect(self) -> Iterator[Metric]:
        """Return them."""
        metric = CounterMetricFamily(
            "slash80_firewall_drops",
            "Packets that were dropped, by the reason as `slash80 firewall show` explains it: egress, ingress, closed "
            "and ended are NetworkPolicies'. The kernel counts from zero when a table is written again.",
            labels=["reason", "family"],
        )
        for one in self._dropped():
            metric.add_metric([one.reason, one.family], one.packets)
        yield metric

    def _dropped(self) -> list[in_force.Dropped]:
        tables = self._make()
        dump: Dump = tables.dump
        try:
            return in_force.dropped(dump, DROPPING)
        finally:
            tables.close()


class FirewallRepairs:
    """How often what another program had changed was put right."""

    name = "firewall_repairs"

    def __init__(self, state_dir: Path, board: Board) -> None:
        """Read nothing yet."""
        self._state_dir, self._board = state_dir, board

    def collect(self) -> Iterator[Metric]:
        """Return them."""
        kept = kept_firewall.current(self._state_dir)
        yield CounterMetricFamily(
            "slash80_firewall_reasserts",
            "How often the node's firewall was put back since the boot, by agents and by `slash80 firewall repair`: "
            "pods were open until then.",
            value=kept.repairs if kept else 0,
        )
        repairs = CounterMetricFamily(
            "slash80_repairs",
            "What this agent found changed, missing or left over and has put right: the firewall, elements of pods in "
            "it, or the table of NetworkPolicies.",
            labels=["object"],
        )
        counts = self._board.repairs
        for name in _OBJECTS:
            repairs.add_metric([name], counts.get(name, 0))
        yield repairs
