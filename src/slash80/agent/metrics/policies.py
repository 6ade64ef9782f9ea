"""Metrics of NetworkPolicies: how many there are, which are not in force and why, and what became of those who wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

from slash80.agent.policy_gate import PolicyGate
from slash80.agent.reconcilers.board import Board
from slash80.agent.reconcilers.policies import Enforcement
from slash80.desired.problems import Reason

_UNUSABLE = (Reason.POLICY_INVALID, Reason.POLICY_REFUSED)
_OF_SUBJECT = "NetworkPolicy "


class PolicyMetrics:
    """What the parts `policies`, `waiting` and `revocation` know."""

    name = "policies"

    def __init__(
        self, board: Board, gate: PolicyGate, enforcement: Enforcement, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read nothing yet."""
        self._board, self._gate, self._enforcement, self._clock = board, gate, enforcement, clock

    def collect(self) -> Iterator[Metric]:
        """Return them."""
        yield from self._known()
        yield from self._in_force()
        yield from self._waits()

    def _known(self) -> Iterator[Metric]:
        counts = self._board.policy_counts
        states = GaugeMetricFamily(
            "slash80_policies",
            "NetworkPolicies of the cluster: those that can be put in force on this node, those that cannot be "
            "understood (invalid) and those that its kernel refuses (refused); the latter two isolate their pods and "
            "allow nothing.",
            labels=["state"],
        )
        usable = counts.policies - counts.invalid - counts.rejected
        for state, value in {"usable": usable, "invalid": counts.invalid, "refused": counts.rejected}.items():
            states.add_metric([state], max(0, value))
        listed = [one for one in self._board.outcome("policies").problems if one.reason in _UNUSABLE]
        refused = GaugeMetricFamily(
            "slash80_policies_refused",
            "1 for each NetworkPolicy that is invalid or refused, with the problem code; a hundred at most, in turn "
            "one of each namespace.",
            labels=["namespace", "policy", "reason"],
        )
        for one in listed:
            namespace, _, policy = one.subject.removeprefix(_OF_SUBJECT).partition("/")
            refused.add_metric([_printable(namespace), _printable(policy), one.reason.value], 1)
        left_out = GaugeMetricFamily(
            "slash80_policies_refused_left_out",
            "NetworkPolicies that are invalid or refused and not in slash80_policies_refused, for they are too many.",
            value=max(0, counts.invalid + counts.rejected - len(listed)),
        )
        isolated = GaugeMetricFamily(
            "slash80_policies_isolated_interfaces",
            "Interfaces of this node's pods that NetworkPolicies isolate.",
            value=counts.isolated,
        )
        yield from (states, refused, left_out, isolated)

    def _in_force(self) -> Iterator[Metric]:
        enforcement = self._enforcement
        yield GaugeMetricFamily(
            "slash80_policies_in_force",
            "1 if this node's table followed from all NetworkPolicies that can be used when it was last looked at; 0 "
            "while the API is not known or the kernel cannot be told, and what was in force before stays.",
            value=enforcement.in_force,
        )
        yield GaugeMetricFamily(
            "slash80_policies_age_seconds",
            "Seconds since this node's table last followed from all NetworkPolicies that can be used; it is looked at "
            "every ten seconds.",
            value=self._clock() - enforcement.applied,
        )
        yield CounterMetricFamily(
            "slash80_policies_connections_ended",
            "Connections that were ended since they would not be let in by the NetworkPolicies of now.",
            value=enforcement.ended,
        )

    def _waits(self) -> Iterator[Metric]:
        counts = self._gate.counts()
        waits = CounterMetricFamily(
            "slash80_policy_waits",
            "ADDs that asked for their pods' NetworkPolicies: answered when these were in force, unanswered after a "
            "second (the pod began closed and is opened later), or refused since too many asked at once.",
            labels=["outcome"],
        )
        outcomes = {"answered": counts.answered, "unanswered": counts.unanswered, "refused": counts.refused}
        for outcome, value in outcomes.items():
            waits.add_metric([outcome], value)
        yield waits
        yield SummaryMetricFamily(
            "slash80_policy_wait_seconds",
            "How long ADDs have waited for NetworkPolicies that were in force in time.",
            count_value=counts.answered,
            sum_value=counts.milliseconds / 1000,
        )
        yield GaugeMetricFamily(
            "slash80_policy_waiting",
            "ADDs that wait for their pods' NetworkPolicies now.",
            value=max(0, counts.asked - counts.answered - counts.unanswered),
        )


def _printable(name: str) -> str:
    """Return a name without what UTF-8 cannot hold: JSON may name half of a character."""
    return name.encode("utf-8", "replace").decode()
