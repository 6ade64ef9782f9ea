"""What the parts know of each other: what should be so, and how each of them fared.

Each part has a thread of its own. All that they share are the values here, which are replaced and never changed.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slash80.desired import node_status
from slash80.desired.node import Desired
from slash80.desired.problems import Problem, Reason
from slash80.host.address_counts import AddressCounts
from slash80.settings.cluster import PolicySettings

NEEDED = ("node", "firewall", "conflist")  # by a pod: without one of these parts none can be attached


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a part fared: whether what it is for is in force, and what is wrong.

    Nothing in force and nothing wrong is a part that waits for another one.
    """

    in_force: bool
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyCounts:
    """How many NetworkPolicies the cluster has, how many interfaces of this node they isolate, how many it cannot use.

    The `rejected` ones are those that this node's kernel refuses, the `invalid` ones cannot be understood.
    """

    policies: int = 0
    isolated: int = 0
    rejected: int = 0
    invalid: int = 0


IN_FORCE, NOT_YET = Outcome(in_force=True), Outcome(in_force=False)


class Board:
    """The parts' outcomes by name; `changed` is called with the name of a part whose outcome became another one."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        """Begin with nothing in force."""
        self._changed, self._lock = changed, threading.Lock()
        self._outcomes: dict[str, Outcome] = {}
        self._desired: Desired | None = None
        self._unrouted: tuple[str, ...] = ()
        self._policies: PolicySettings | None = None
        self._policy_counts = PolicyCounts()
        self._addresses: tuple[AddressCounts, ...] = ()
        self._early_reuses = 0
        self._seen, self._repairs = Counter[Reason](), Counter[str]()

    @property
    def desired(self) -> Desired | None:
        """What should be so; None while too little is known."""
        return self._desired

    @property
    def unrouted(self) -> tuple[str, ...]:
        """IPv4 prefixes of other nodes that this one has no route to."""
        return self._unrouted

    @property
    def policies(self) -> PolicySettings | None:
        """How policies are enforced, as the settings say that are in use; None while none were used."""
        return self._policies

    @property
    def policy_counts(self) -> PolicyCounts:
        """What came of policies."""
        return self._policy_counts

    @property
    def addresses(self) -> tuple[AddressCounts, ...]:
        """How many addresses of each family were in which state when the node's part last looked."""
        return self._addresses

    @property
    def early_reuses(self) -> int:
        """How often an address was handed out before its preferred rest was over, as of then."""
        return self._early_reuses

    @property
    def problems_seen(self) -> Mapping[Reason, int]:
        """How often a problem of each kind has come up since the start."""
        with self._lock:
            return dict(self._seen)

    @property
    def repairs(self) -> Mapping[str, int]:
        """How often what another program had changed or removed was put right since the start."""
        with self._lock:
            return dict(self._repairs)

    def outcome(self, part: str) -> Outcome:
        """Return how a part fared the last time."""
        return self._outcomes.get(part, NOT_YET)

    @property
    def ready(self) -> bool:
        """Whether pods can be attached."""
        return node_status.ready(self.outcome(part).in_force for part in NEEDED)

    @property
    def problems(self) -> list[Problem]:
        """What is wrong, as all parts say."""
        with self._lock:
            return [problem for outcome in self._outcomes.values() for problem in outcome.problems]

    def want(self, desired: Desired) -> None:
        """Replace what should be so."""
        if desired != self._desired:
            self._desired = desired
            self._changed("node")

    def enforce(self, policies: PolicySettings) -> None:
        """Replace how policies are enforced."""
        if policies != self._policies:
            self._policies = policies
            self._changed("node")

    def count(self, policy_counts: PolicyCounts) -> None:
        """Replace what came of policies."""
        if policy_counts != self._policy_counts:
            self._policy_counts = policy_counts
            self._changed("policies")

    def count_addresses(self, addresses: tuple[AddressCounts, ...], early_reuses: int) -> None:
        """Replace what is known of addresses; nothing follows from it."""
        self._addresses, self._early_reuses = addresses, early_reuses

    def repaired(self, what: str, count: int = 1) -> None:
        """Note that something was put right."""
        with self._lock:
            self._repairs[what] += count

    def miss(self, unrouted: tuple[str, ...]) -> None:
        """Replace the prefixes without a route."""
        if unrouted != self._unrouted:
            self._unrouted = unrouted
            self._changed("routes")

    def post(self, part: str, outcome: Outcome) -> tuple[Problem, ...]:
        """Replace a part's outcome; return the problems that it did not have before."""
        with self._lock:
            before, self._outcomes[part] = self.outcome(part), outcome
            new = tuple(problem for problem in outcome.problems if problem not in before.problems)
            self._seen.update(problem.reason for problem in new)
        if outcome != before:
            self._changed(part)
        return new
