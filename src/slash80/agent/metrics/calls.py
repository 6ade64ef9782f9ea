"""Metrics of the CNI calls that this agent has answered."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

from slash80.agent.call_counts import BOUNDS, CallCounts

_ALWAYS = {("agent", "ADD"), ("agent", "DEL")}  # from the start, so that the first one is an increase


class CallMetrics:
    """What the processes that answer calls have counted."""

    name = "calls"

    def __init__(self, counts: CallCounts) -> None:
        """Read nothing yet."""
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Return them."""
        requests = CounterMetricFamily(
            "slash80_cni_requests",
            "CNI calls that this agent has answered, by the CNI error code of the answer, 0 where it went well, "
            "undelivered where the caller was gone (an ADD is undone then); via agent, or via note for DELs that came "
            "while neither agent nor engine could do them.",
            labels=["command", "code", "via"],
        )
        seconds = HistogramMetricFamily(
            "slash80_cni_request_seconds",
            "How long these calls took in the agent, from the whole request to the whole answer.",
            labels=["command", "via"],
        )
        for via, command, found in self._counts.answered():
            if not found.cumulative[-1] and (via, command) not in _ALWAYS:
                continue
            for code, count in found.codes.items():
                if count or code == "0":
                    requests.add_metric([command, code, via], count)
            bounds = [*map(str, BOUNDS), "+Inf"]
            buckets = list(zip(bounds, found.cumulative, strict=True))
            seconds.add_metric([command, via], buckets, sum_value=found.seconds)
        yield from (requests, seconds)
