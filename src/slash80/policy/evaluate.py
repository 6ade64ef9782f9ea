"""What policies say about a flow, read literally from the API's text: one flow, one answer, with its reason.

This is the oracle: `compile` is another reading of the same text, written independently, and tests compare the two.
Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slash80.addressing.family import Address
from slash80.addressing.ports import Protocol
from slash80.policy.model import Block, Direction, Flow, NamedPort, Peer, Pod, Policy, Port, Rule, Snapshot


@dataclass(frozen=True, slots=True)
class Reason:
    """What is said of the subject in one direction, the policies that isolate it, and which rule allows the flow.

    `allowing` is a policy and the index in its list of rules. Where no policy isolates the subject, all is allowed.
    """

    direction: Direction
    subject: Pod | None
    policies: tuple[Policy, ...]
    allowing: tuple[Policy, int] | None
    allowed: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a flow may begin: both directions have to allow it. `reasons` are egress, then ingress."""

    reasons: tuple[Reason, Reason]

    @property
    def allowed(self) -> bool:
        """Whether both directions allow it."""
        return all(reason.allowed for reason in self.reasons)


def evaluate(snapshot: Snapshot, flow: Flow) -> Verdict:
    """Return what a cluster's policies say about a flow."""
    return Oracle(snapshot).verdict(flow)


class Oracle:
    """The same for many flows: whose an address is, is looked up once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._owners: dict[Address, Pod] = {}
        for pod in filter(lambda one: one.selectable, sorted(snapshot.pods, key=lambda one: one.claim)):
            self._owners.update(dict.fromkeys(pod.addresses, pod))  # the newest of those that claim one has it

    def verdict(self, flow: Flow) -> Verdict:
        """Return what the policies say about a flow."""
        return Verdict((self._reason(flow, Direction.EGRESS), self._reason(flow, Direction.INGRESS)))

    def owner(self, address: Address) -> Pod | None:
        """Return the pod whose packets with this address policies judge: of an interface that is known, its own."""
        return self._snapshot.further.get(address) or self._owners.get(address)

    def _reason(self, flow: Flow, direction: Direction) -> Reason:
        egress = direction is Direction.EGRESS
        here, there = (flow.source, flow.destination) if egress else (flow.destination, flow.source)
        subject = self.owner(here)
        if subject is None:
            sentence = f"{here} is not the address of a pod that a policy could select for {direction}."
            return Reason(direction, None, (), None, allowed=True, sentence=sentence)
        policies = tuple(self._isolating(subject, direction))
        allowing = next((one for policy in policies for one in self._allowing(policy, flow, direction)), None)
        allowed, sentence = True, ""
        if here == there:
            sentence = f"No policy keeps {subject} from reaching itself."
        elif there in self._snapshot.nodes.get(subject.node, ()):
            sentence = f"{there} is the node that {subject} runs on: these two always reach each other."
        elif not policies:
            sentence = f"No policy selects {subject} for {direction}, so all {direction} is allowed."
        elif allowing:
            sentence = f"NetworkPolicy {allowing[0]} allows it by {direction}[{allowing[1]}]."
        else:
            names = ", ".join(map(str, policies))
            allowed, sentence = False, f"{subject} is isolated for {direction} by {names}, and no rule there allows it."
        return Reason(direction, subject, policies, allowing, allowed, sentence)

    def _isolating(self, subject: Pod, direction: Direction) -> Iterator[Policy]:
        for policy in self._snapshot.policies:
            selects = policy.namespace == subject.namespace and policy.pods.matches(subject.labels)
            if selects and policy.rules(direction) is not None:
                yield policy

    def _allowing(self, policy: Policy, flow: Flow, direction: Direction) -> Iterator[tuple[Policy, int]]:
        for index, rule in enumerate(policy.rules(direction) or ()):
            if not policy.broken and self._allows(policy, rule, flow=flow, direction=direction):
                yield policy, index

    def _allows(self, policy: Policy, rule: Rule, *, flow: Flow, direction: Direction) -> bool:
        there = flow.destination if direction is Direction.EGRESS else flow.source
        # A name is one of the pod that receives: the policy's own for ingress, the peer for egress.
        receiver = self._owners.get(flow.destination) if direction is Direction.EGRESS else self.owner(flow.destination)
        return (rule.peers is None or any(self._is(peer, policy, there) for peer in rule.peers)) and (
            rule.ports is None or any(_covers(port, flow, receiver) for port in rule.ports)
        )

    def _is(self, peer: Peer, policy: Policy, address: Address) -> bool:
        if isinstance(peer, Block):
            return address in peer.prefix and not any(address in one for one in peer.exceptions)
        pod = self._owners.get(address)
        if pod is None or (peer.namespaces is None and peer.pods is None):
            return False
        if peer.pods is not None and not peer.pods.matches(pod.labels):
            return False
        if peer.namespaces is None:
            return pod.namespace == policy.namespace
        namespace = self._snapshot.namespaces.get(pod.namespace)  # which may be seen later than its pods
        return peer.namespaces.matches(namespace.labels if namespace else {})


def _covers(port: Port, flow: Flow, receiver: Pod | None) -> bool:
    if port.protocol != flow.protocol:
        return False
    if isinstance(port, NamedPort):
        return receiver is not None and receiver.ports.get((port.name, Protocol(flow.protocol))) == flow.port
    return port.first <= flow.port <= port.last
