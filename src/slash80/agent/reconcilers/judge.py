"""Which of this node's connections the policies of now would not let begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from slash80.addressing.family import Address
from slash80.policy.evaluate import Oracle
from slash80.policy.model import Endpoint, Flow, Snapshot
from slash80.policy.records import ACCEPT, Plan


class Judge:
    """Judges flows from and to a node's interfaces, and counts those that are not allowed."""

    def __init__(
        self, snapshot: Snapshot, endpoints: Sequence[Endpoint], nodes: Mapping[str, tuple[Address, ...]]
    ) -> None:
        """Judge by the policies of this node's pods: other nodes end the connections that others' do not allow."""
        namespaces = {one.pod.namespace for one in endpoints if one.pod}
        # also those that the API does not show yet
        further = {address: one.pod for one in endpoints if one.pod for address in one.addresses}
        policies = tuple(one for one in snapshot.policies if one.namespace in namespaces)
        self._oracle = Oracle(replace(snapshot, policies=policies, nodes=nodes, further=further))
        self.addresses = frozenset(address for one in endpoints for address in one.addresses)
        self.denied = 0

    def allowed(self, flow: Flow) -> bool:
        """Report whether it may begin."""
        found = self._oracle.verdict(flow).allowed
        self.denied += not found
        return found


def forbids(plan: Plan) -> bool:
    """Report whether a plan may forbid what was allowed."""
    return bool(plan.deleted) or any(verdict != ACCEPT for verdict in plan.verdicts.values())
