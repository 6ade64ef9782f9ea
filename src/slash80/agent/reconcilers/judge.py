"""Which of this node's connections the policies of now would not let begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from slash80.addressing.family import Address
from slash80.policy.evaluate import Oracle
from slash80.policy.model import Endpoint, Flow, Snapshot
from slash80.policy.records import ACCEPT, Plan

_MOST = 1000  # peers; more are as good as all


class Judge:
    """Judges flows from and to a node's interfaces, and counts those that are not allowed."""

    def __init__(
        self, snapshot: Snapshot, endpoints: Sequence[Endpoint], nodes: Mapping[str, tuple[Address, ...]]
    ) -> None:
        """Judge by the policies of this node's pods: other nodes end the connections that others' do not allow."""
        namespaces = {one.pod.namespace for one in endpoints if one.pod}
        # As the table has them: also those that the API does not show yet, and with the labels that decided about their
        # chains, which may be newer than those of the snapshot's pods.
        further = {address: one.pod for one in endpoints if one.pod for address in one.addresses}
        policies = tuple(one for one in snapshot.policies if one.namespace in namespaces)
        self._snapshot = replace(snapshot, policies=policies, nodes=nodes, further=further)
        self.addresses = frozenset(address for one in endpoints for address in one.addresses)
        self._closed = frozenset(address for one in endpoints if one.closed for address in one.addresses)
        self._node = frozenset(address for of_node in nodes.values() for address in of_node)
        self.denied = 0

    @cached_property
    def _oracle(self) -> Oracle:
        """Made for the first flow: for 100,000 pods that takes half a second, in which all other threads are slow."""
        return Oracle(self._snapshot)

    def allowed(self, flow: Flow) -> bool | None:
        """Report whether it may begin; None of what is none of these interfaces', whose mark is another program's."""
        if self.addresses.isdisjoint((flow.source, flow.destination)):
            return None
        found = self._is_open(flow) and self._oracle.verdict(flow).allowed
        self.denied += not found
        return found

    def _is_open(self, flow: Flow) -> bool:
        """Report whether neither end is closed; a pod that is closed and its node reach each other all the same."""
        ends = flow.source, flow.destination
        return self._closed.isdisjoint(ends) or not self._node.isdisjoint(ends)


class Doubts:
    """Of which connections it is not known whether they may go on: of all, or of some peers."""

    def __init__(self) -> None:
        """Doubt all of them: an agent that died may have left some that may not go on."""
        self._all, self._peers = True, set[Address]()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self._all or bool(self._peers)

    def add_all(self) -> None:
        """Doubt all of them."""
        self._all, self._peers = True, set()

    def add(self, plan: Plan) -> None:
        """Doubt what a plan may forbid: all where pods get other rules, else what is of the peers that sets lose.

        A cluster loses peers all the time, and few of them have a connection with a node.
        """
        if any(verdict != ACCEPT for verdict in plan.verdicts.values()):
            self.add_all()
        if self._all:
            return
        for members in plan.deleted.values():
            self._peers.update(member[0] if isinstance(member, tuple) else member for member in members)
        if len(self._peers) > _MOST:
            self.add_all()

    def take(self) -> frozenset[Address] | None:
        """Return the peers, or None for all, and have no doubts."""
        found = None if self._all else frozenset(self._peers)
        self._all, self._peers = False, set()
        return found
