"""What the API shows of policies and of what they select, taken over change by change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from slash80.agent.reconcilers.cluster_view import ClusterView, Followed
from slash80.cluster.subscription import Changes, Subscription
from slash80.policy.compile import Compiler
from slash80.policy.model import Pod, Policy

T = TypeVar("T")


class KnownPolicies:
    """A compiler that has taken over what the lists say. For one thread at a time."""

    def __init__(self, cluster: ClusterView, changed: Callable[[], None] = lambda: None) -> None:
        """Take over nothing yet; `changed` is called, by another thread, when a policy or a namespace has changed."""
        self._cluster, self._changed, self.compiler = cluster, changed, Compiler()
        self._lists: tuple[Followed[Any], ...] = ()
        self._subscriptions: list[Subscription[Any]] = []
        self._refused: Mapping[Policy, str] = {}

    def take(self) -> bool:
        """Take over what has changed; return whether all lists were complete once."""
        policies, selected = self._cluster.policies, self._cluster.selected
        if policies is None or selected is None:
            return False
        lists: tuple[Followed[Any], ...] = (selected.pods, selected.namespaces, policies)
        if lists != self._lists or not self._subscriptions:
            self.close()
            self._lists = lists
            wakes = (_nothing, self._changed, self._changed)
            self._subscriptions = [one.subscribe(wake) for one, wake in zip(lists, wakes, strict=True)]
        taken = [one.take() for one in self._subscriptions]
        if any(one.everything for one in taken):  # also of the others: this compiler is a new one
            self.compiler, taken = Compiler(), [Changes(everything=True) for _ in taken]
        pods = _pairs(selected.pods, taken[0])
        namespaces = _pairs(selected.namespaces, taken[1])
        changed = [(old, new and self._in_force(new)) for old, new in _pairs(policies, taken[2])]
        self.compiler.update(pods=pods, namespaces=namespaces, policies=changed)
        return True

    def close(self) -> None:
        """Have changes collected no more: the list of policies goes on, and would keep all that is known here."""
        for one, subscription in zip(self._lists, self._subscriptions, strict=False):
            one.unsubscribe(subscription)
        self._subscriptions = []

    def refuse(self, refused: Mapping[Policy, str]) -> None:
        """Have these policies, and no other ones, allow nothing, each for its reason; one that changes is another."""
        before, self._refused = self._refused, dict(refused)
        changed = [one for one in self.policies if before.get(one) != refused.get(one)]
        self.compiler.update(policies=[(one, self._in_force(one)) for one in changed])

    @property
    def refused(self) -> dict[Policy, str]:
        """Those of the policies that there are which allow nothing, each with its reason."""
        return {one: self._refused[one] for one in self.policies if one in self._refused} if self._refused else {}

    def _in_force(self, policy: Policy) -> Policy:
        reason = self._refused.get(policy, "")
        return replace(policy, broken=reason) if reason else policy

    @property
    def pods(self) -> Followed[Pod]:
        """The list of Pods that was taken over."""
        return self._lists[0]

    @property
    def policies(self) -> list[Policy]:
        """The policies, in the order of their names."""
        return list(self._lists[2].objects)


def _pairs(followed: Followed[T], taken: Changes[T]) -> Iterable[tuple[T | None, T | None]]:
    """Return what was and what is. What changes while everything is read comes as a change again."""
    if taken.everything:
        return [(None, one) for one in followed.objects]
    return [(one.old, one.new) for one in taken.changes]


def _nothing() -> None:
    """Do nothing when woken: the list wakes the parts itself."""
