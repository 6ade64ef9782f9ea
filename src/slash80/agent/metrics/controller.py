"""The collectors of a controller, put together."""

from __future__ import annotations

from prometheus_client.process_collector import ProcessCollector

from slash80.agent.call_counts import CallCounts
from slash80.agent.metrics.calls import CallMetrics
from slash80.agent.metrics.exposition import Collector, Exposition
from slash80.agent.metrics.firewall import FirewallDrops, FirewallRepairs
from slash80.agent.metrics.kernel import ConntrackMetrics, LinkMetrics, NeighbourMetrics
from slash80.agent.metrics.node import NodeMetrics
from slash80.agent.metrics.policies import PolicyMetrics
from slash80.agent.policy_gate import PolicyGate
from slash80.agent.reconcilers.part import Surroundings
from slash80.agent.reconcilers.policies import Enforcement


class _Process(ProcessCollector):
    """Memory, processor time and descriptors of this process, which does not answer calls."""

    name = "process"


def exposition(around: Surroundings, gate: PolicyGate, enforcement: Enforcement, *, calls: CallCounts) -> Exposition:
    """Return what answers scrapes of this controller."""
    collectors: tuple[Collector, ...] = (
        NodeMetrics(around.board, around.cluster),
        CallMetrics(calls),
        PolicyMetrics(around.board, gate, enforcement),
        FirewallDrops(),
        FirewallRepairs(around.state_dir, around.board),
        ConntrackMetrics(),
        LinkMetrics(),
        NeighbourMetrics(),
        _Process(registry=None),
    )
    return Exposition(collectors)
