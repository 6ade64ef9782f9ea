"""From policies, pods and namespaces to what the firewall has to have for a node's interfaces.

It reads the API's text independently of `evaluate`. All of it follows from what is known now; what is kept is a cache:
the rules of each policy, the chains of each combination of policies, and the members of each set that these name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeVar

from slash80.addressing.family import Family, family_of
from slash80.addressing.ports import Protocol
from slash80.policy import words
from slash80.policy.model import Direction, Endpoint, NamedPort, Namespace, Pod, Policy, Snapshot
from slash80.policy.records import ACCEPT, CLOSED, SELF, Dispatched, PeerSet, PolicyRules, Range
from slash80.policy.selections import Selections

_Object = TypeVar("_Object")
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True, eq=False)
class _Compiled:
    """A policy, with a number that no other one ever had: by it what follows from the policy is found again."""

    serial: int
    policy: Policy
    named: tuple[tuple[str, Protocol], ...]  # ports of its own pods that its ingress rules name

    @classmethod
    def of(cls, serial: int, policy: Policy) -> _Compiled:
        """Note which names its pods have to resolve."""
        ports = [port for rule in policy.ingress or () for port in rule.ports or () if isinstance(port, NamedPort)]
        return cls(serial, policy, tuple(sorted({(port.name, port.protocol) for port in ports})))

    def variant(self, direction: Direction, pod: Pod) -> _Variant:
        """Return the policy as it is for a pod."""
        named = self.named if direction is Direction.INGRESS else ()
        return self.serial, tuple(pod.ports.get(name) for name in named)


_Variant = tuple[int, tuple[int | None, ...]]  # a policy's number, and the ports of the pod that it names
_Labelled = tuple[str, frozenset[tuple[str, str]]]  # a namespace, and labels of its pods
_Isolating = dict[Direction, tuple[_Compiled, ...]]
_Profile = tuple[Direction, Family, tuple[_Variant, ...]]


@dataclass(frozen=True, slots=True)
class _Chain:
    """A chain, and the sets that it names: those that pods are in, and those that never change."""

    name: str
    rules: tuple[str, ...]
    selections: dict[str, tuple[words.Selection, Family]]
    fixed: dict[str, PeerSet]


@dataclass(slots=True)
class _Found:
    """What is gathered for some endpoints, and for others that are expected."""

    endpoints: tuple[Endpoint, ...]
    expected: tuple[Endpoint, ...] = ()
    selections: dict[str, tuple[words.Selection, Family]] = field(default_factory=dict)
    fixed: dict[str, PeerSet] = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    verdicts: dict[Dispatched, str] = field(default_factory=dict)
    selves: dict[Family, set[Range]] = field(default_factory=dict)
    coming: list[tuple[Pod, Mapping[Dispatched, str]]] = field(default_factory=list)
    labelled: set[_Labelled] = field(default_factory=set)
    profiles: set[_Profile] = field(default_factory=set)

    def rules(self, selections: Selections) -> PolicyRules:
        """Return it as rules, with the members that sets of pods have now."""
        sets = {name: selections.set_of(*one) for name, one in self.selections.items()} | self.fixed
        for family, pairs in self.selves.items():
            sets[SELF[family.version]] = words.self_set(family, pairs)
        return PolicyRules(sets, self.chains, self.verdicts)


class Compiler:
    """What is known of a cluster, and what follows for endpoints; made for one change after the other."""

    def __init__(self) -> None:
        self._selections = Selections()
        self._policies: dict[str, dict[str, _Compiled]] = {}  # by namespace and name
        self._serials = count()
        self._isolating: dict[_Labelled, _Isolating] = {}
        self._chains: dict[_Profile, _Chain] = {}
        self._last: _Found | None = None  # for the same endpoints and policies only members of sets differ

    def update(
        self,
        *,
        pods: Iterable[tuple[Pod | None, Pod | None]] = (),
        namespaces: Iterable[tuple[Namespace | None, Namespace | None]] = (),
        policies: Iterable[tuple[Policy | None, Policy | None]] = (),
    ) -> None:
        """Take over changes: what was and what is now, None if it was not or is no longer there."""
        for name, namespace in _latest(namespaces, lambda one: one.name):
            self._selections.put_namespace(name, namespace)
        for (where, name), policy in _latest(policies, lambda one: (one.namespace, one.name)):
            self._put_policy(where, name, policy)
        for key, pod in _latest(pods, lambda one: (one.namespace, one.name)):
            self._selections.put_pod(key, pod)

    @property
    def isolated(self) -> Collection[str]:
        """The namespaces that have a policy."""
        return self._policies.keys()

    def rules(self, endpoints: Iterable[Endpoint], expected: Iterable[Endpoint] = ()) -> PolicyRules:
        """Return all that the firewall has to have for these endpoints; what none of them needs is forgotten here.

        For those that are `expected` it has chains and sets already, to which nothing leads yet. Of their addresses
        only the families matter.
        """
        local, coming = tuple(endpoints), tuple(expected)
        if self._last is None or (self._last.endpoints, self._last.expected) != (local, coming):
            self._last = found = self._gathered(local, coming)
            self._chains = {key: chain for key, chain in self._chains.items() if key in found.profiles}
            self._isolating = {key: policies for key, policies in self._isolating.items() if key in found.labelled}
            self._selections.keep({selection.key for selection, _ in found.selections.values()})
        return self._last.rules(self._selections)

    @property
    def coming(self) -> Sequence[tuple[Pod, Mapping[Dispatched, str]]]:
        """Pods of the endpoints that were `expected` last, with what their addresses are going to lead to."""
        return self._last.coming if self._last else ()

    def rules_of(self, endpoint: Endpoint) -> PolicyRules:
        """Return what one endpoint needs of it; of the set of pods that reach themselves only its own members."""
        return self._gathered((endpoint,)).rules(self._selections)

    def snapshot(self) -> Snapshot:
        """Return what is known of the cluster."""
        policies = tuple(one.policy for named in self._policies.values() for one in named.values())
        return Snapshot(self._selections.pods, dict(self._selections.namespaces), policies)

    def _put_policy(self, namespace: str, name: str, policy: Policy | None) -> None:
        named = self._policies.setdefault(namespace, {})
        before = named.pop(name, None)
        if before and before.policy == policy:
            named[name] = before
            return
        self._last = None
        if policy:
            named[name] = _Compiled.of(next(self._serials), policy)
        if not named:
            del self._policies[namespace]
        self._isolating = {key: known for key, known in self._isolating.items() if key[0] != namespace}

    def _isolate(self, pod: Pod, found: _Found) -> _Isolating:
        """Return the policies that select a pod, by the direction in which they isolate it."""
        key = pod.namespace, frozenset(pod.labels.items())
        found.labelled.add(key)
        if key not in self._isolating:
            named = self._policies.get(pod.namespace, {}).values()
            selecting = [one for one in named if one.policy.pods.matches(pod.labels)]
            self._isolating[key] = {
                direction: tuple(one for one in selecting if one.policy.rules(direction) is not None)
                for direction in Direction
            }
        return self._isolating[key]

    def _gathered(self, endpoints: tuple[Endpoint, ...], expected: tuple[Endpoint, ...] = ()) -> _Found:
        """Return what endpoints need."""
        found = _Found(endpoints, expected)
        for endpoint in endpoints:
            self._add(endpoint, found)
        coming = replace(found, verdicts={}, selves={})  # the others are the same objects
        for endpoint in expected:
            coming.verdicts = {}
            self._add(endpoint, coming)
            if endpoint.pod:
                found.coming.append((endpoint.pod, coming.verdicts))
        for family in coming.selves:
            found.selves.setdefault(family, set())  # chains name it
        return found

    def _add(self, endpoint: Endpoint, found: _Found) -> None:
        for direction in Direction:
            for address in endpoint.addresses:
                key = Dispatched(direction, endpoint.ifname, address)
                if endpoint.pod:
                    found.verdicts[key] = self._judged(key, endpoint.pod, found)
                else:
                    found.verdicts[key] = CLOSED if endpoint.closed else ACCEPT

    def _judged(self, key: Dispatched, pod: Pod, found: _Found) -> str:
        """Return what a pod's address leads to: its chain is gathered together with the sets that it names."""
        family = family_of(key.address)
        policies = self._isolate(pod, found)[key.direction]
        if not policies:
            return ACCEPT
        profile = key.direction, family, tuple(one.variant(key.direction, pod) for one in policies)
        found.profiles.add(profile)
        if profile not in self._chains:
            self._chains[profile] = _chain(policies, pod, direction=key.direction, family=family)
        chain = self._chains[profile]
        if chain.rules == (ACCEPT,):
            return ACCEPT
        found.selves.setdefault(family, set()).add((key.address, key.address))
        if chain.name not in found.chains:
            found.chains[chain.name] = chain.rules
            found.fixed.update(chain.fixed)
            found.selections.update(chain.selections)
        return chain.name


def compile_rules(snapshot: Snapshot, endpoints: Iterable[Endpoint]) -> PolicyRules:
    """Return what the firewall has to have for endpoints, from all that is known of a cluster."""
    compiler = Compiler()
    compiler.update(
        pods=[(None, pod) for pod in snapshot.pods],
        namespaces=[(None, namespace) for namespace in snapshot.namespaces.values()],
        policies=[(None, policy) for policy in snapshot.policies],
    )
    return compiler.rules(endpoints)


def _chain(policies: Iterable[_Compiled], pod: Pod, *, direction: Direction, family: Family) -> _Chain:
    """Return the chain of pods that these policies isolate."""
    allowing = [words.rules_of(one.policy, direction, family, names=pod.ports) for one in policies]
    rules = words.chain(direction, family, [rule for one in allowing for rule in one.rules])
    return _Chain(
        words.chain_name(direction, family, rules),
        rules,
        {one.name(family): (one, family) for part in allowing for one in part.selections},
        {words.block_name(family, one): words.block_set(family, one) for part in allowing for one in part.ranges},
    )


def _latest(
    changes: Iterable[tuple[_Object | None, _Object | None]], key: Callable[[_Object], _Key]
) -> Iterable[tuple[_Key, _Object | None]]:
    """Yield of each change what it is about, and what is now."""
    for old, new in changes:
        known = new if new is not None else old
        if known is not None:
            yield key(known), new
