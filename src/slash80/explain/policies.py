"""What NetworkPolicies do with a connection, in sentences, and what applies to a pod."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from slash80.explain import words
from slash80.explain.records import Kind, Known, Result, Step, Way
from slash80.policy.evaluate import Reason, evaluate
from slash80.policy.model import Direction, Flow, Pod, Policy, Rule, Snapshot
from slash80.policy.records import ACCEPT, CLOSED

_LETS = {Direction.INGRESS: "lets it receive", Direction.EGRESS: "lets it send"}
_NO_POLICY, _ON_THIS_NODE = "no policy", "this node's kernel"
_NAME_LABEL = "kubernetes.io/metadata.name"  # which the API server gives every Namespace


def judged(way: Way, known: Known) -> Iterator[Step]:
    """Yield the steps of chains `egress`, on the source's node, and `ingress`, on the destination's."""
    if way.source.kind is Kind.POD:
        yield _step(way, known, Direction.EGRESS)
    if way.destination.kind is Kind.POD:
        yield _step(way.as_seen, known, Direction.INGRESS)


def _step(way: Way, known: Known, direction: Direction) -> Step:
    egress = direction is Direction.EGRESS
    subject = (way.source if egress else way.destination).pod
    if subject is None:
        raise AssertionError("an end that is a pod has one")
    verdict = known.kernel.get((direction, way.source_address if egress else way.address), "")
    hidden = dict(known.hidden).get(subject.namespace)
    if not known.enforced:
        return Step(
            direction, Result.SEEN, "NetworkPolicies are not enforced: policy.enforce is false", "policy.enforce"
        )
    if way.source_address == way.address:
        return Step(direction, Result.ALLOW, "a pod reaches itself through a Service whatever policies say", "own pod")
    if verdict == CLOSED:
        text = f"{_ON_THIS_NODE} keeps pod {subject} closed until the agent knows its labels; see slash80 status"
        return Step(direction, Result.DROP, text, CLOSED)
    if hidden is not None:
        return _by_kernel(direction, subject, verdict, hidden=hidden)
    step = _by_policies(way, known.snapshot, direction)
    if (step.result is Result.DROP and verdict == ACCEPT) or (step.rule == _NO_POLICY and verdict not in {"", ACCEPT}):
        text = f"{step.sentence}; {_ON_THIS_NODE} does not have that in force yet"
        return replace(step, result=Result.UNKNOWN, sentence=text)
    return step


def _by_kernel(direction: Direction, subject: Pod, verdict: str, *, hidden: str) -> Step:
    """Return what can be said without the policies themselves: whether any isolates a pod of this node."""
    if verdict == ACCEPT:
        text = f"{_ON_THIS_NODE} has no NetworkPolicy in force that closes anything to pod {subject} for {direction}"
        return Step(direction, Result.ALLOW, text, _NO_POLICY)
    isolated = f"chain {verdict} judges pod {subject}, and " if verdict else ""
    text = f"{isolated}the NetworkPolicies of namespace {subject.namespace} could not be read"
    text = f"{text}, so this is not known: {hidden}"
    return Step(direction, Result.UNKNOWN, text, f"chain {verdict}" if verdict else "")


def _by_policies(way: Way, snapshot: Snapshot, direction: Direction) -> Step:
    flow = Flow(way.source_address, way.address, way.protocol, way.port)
    reason = next(one for one in evaluate(snapshot, flow).reasons if one.direction is direction)
    subject = reason.subject
    if not reason.policies:
        return Step(direction, Result.ALLOW, f"no NetworkPolicy isolates pod {subject} for {direction}", _NO_POLICY)
    if reason.allowing:
        policy, index = reason.allowing
        said = words.rule((policy.rules(direction) or ())[index], direction, policy.namespace)
        text = f"pod {subject} is isolated for {direction}, and NetworkPolicy {policy} {_LETS[direction]} {said}"
        return Step(direction, Result.ALLOW, text, f"NetworkPolicy {policy} {direction}[{index}]")
    return Step(direction, Result.DROP, _refusal(way, snapshot, reason), _named(reason.policies))


def _refusal(way: Way, snapshot: Snapshot, reason: Reason) -> str:
    """Return why no rule allows it, and which rule would."""
    direction = reason.direction
    side, other = ("from", way.source) if direction is Direction.INGRESS else ("to", way.destination)
    address = way.source_address if direction is Direction.INGRESS else way.address
    text = f"pod {reason.subject} is isolated for {direction} by {_named(reason.policies)}, and no rule there allows"
    text = (
        f"{text} {way.asked} {side} {other}"
        if other.kind is Kind.HOST
        else f"{text} {way.asked} {side} {other} ({address})"
    )
    if near := next(_near(way, snapshot, reason), ""):
        text = f"{text}; {near}"
    if broken := [policy for policy in reason.policies if policy.broken]:
        text = f"{text}; {broken[0]} allows nothing, as it cannot be used: {broken[0].broken}"
    home = reason.subject.namespace if reason.subject else ""
    peer = _peer(other.pod, home) if other.kind is Kind.POD and other.pod and other.pod.labels else ""
    peer = peer or f"ipBlock {address}/{address.max_prefixlen}"
    ports = "without ports, as rules with ports have no pings" if way.is_ping else f"on {way.asked}"
    return f"{text}; to allow it, give one of them an {direction} rule {side} {peer} {ports}"


def _near(way: Way, snapshot: Snapshot, reason: Reason) -> Iterator[str]:
    """Yield the rules that would allow it if it were not for their ports, or for their peers."""
    flow, direction = Flow(way.source_address, way.address, way.protocol, way.port), reason.direction
    for policy in reason.policies:
        for rule in policy.rules(direction) or ():
            without_ports = _alone(snapshot, policy, direction, rule=replace(rule, ports=None))
            if rule.ports is not None and _allowing(without_ports, flow, direction):
                yield f"{policy} allows this peer, but only {_ports_of(rule)}"


def _alone(snapshot: Snapshot, policy: Policy, direction: Direction, *, rule: Rule) -> Snapshot:
    alone = replace(policy, ingress=(rule,)) if direction is Direction.INGRESS else replace(policy, egress=(rule,))
    return replace(snapshot, policies=(alone,))


def _allowing(snapshot: Snapshot, flow: Flow, direction: Direction) -> bool:
    return any(one.direction is direction and one.allowing for one in evaluate(snapshot, flow).reasons)


def _ports_of(rule: Rule) -> str:
    return f"on {', '.join(map(words.port, rule.ports or ())) or 'no port'}"


def _peer(pod: Pod, home: str) -> str:
    """Return the selectors that select a pod, from a namespace."""
    labels = ",".join(f"{key}={value}" for key, value in sorted(pod.labels.items()))
    chosen = f"podSelector {labels}"
    return chosen if pod.namespace == home else f"namespaceSelector {_NAME_LABEL}={pod.namespace} with {chosen}"


def _named(policies: Sequence[Policy]) -> str:
    plural = "NetworkPolicies" if len(policies) > 1 else "NetworkPolicy"
    return f"{plural} {', '.join(map(str, policies))}"


@dataclass(frozen=True, slots=True)
class Applied:
    """What one policy says about a pod in one direction: a text for each rule, or why it allows nothing."""

    policy: str
    rules: tuple[str, ...]
    broken: str = ""


def applied(pod: Pod, policies: Iterable[Policy], direction: Direction) -> tuple[Applied, ...]:
    """Return the policies that isolate a pod in a direction, in the order of their names."""
    return tuple(
        Applied(
            str(policy),
            ()
            if policy.broken
            else tuple(words.rule(one, direction, policy.namespace) for one in policy.rules(direction) or ()),
            policy.broken,
        )
        for policy in sorted(policies, key=str)
        if _isolates(policy, pod, direction)
    )


def _isolates(policy: Policy, pod: Pod, direction: Direction) -> bool:
    isolating = pod.selectable and policy.rules(direction) is not None
    return isolating and policy.namespace == pod.namespace and policy.pods.matches(pod.labels)
