"""NetworkPolicies are in force on this node: part `policies`, and beside it `waiting` and `revocation`.

What is in force stays while the API cannot be asked, over restarts too: the kernel's table is read back, and a list
that is not complete changes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING

from slash80.agent.policy_gate import PolicyGate
from slash80.agent.reconcilers.board import IN_FORCE, NOT_YET, Outcome, PolicyCounts
from slash80.agent.reconcilers.part import Surroundings, log
from slash80.agent.reconcilers.policy_file import calls_enforce, calls_know, tell_calls
from slash80.desired.problems import Problem, Reason
from slash80.host.context import Host

if TYPE_CHECKING:
    from slash80.agent.reconcilers.policy_keeper import PolicyKeeper
    from slash80.policy.model import Policy

_NAMED = 100  # policies that cannot be understood or put in force, which are reported each


class Enforcement:
    """Has what keeps policies made when the first of them comes: a node without any has 1 MiB more left.

    `in_force` is whether the table followed from all that the API shows when that was last looked at, `applied` when it
    last did, in seconds of the monotonic clock, and `ended` how many connections were ended since the start.
    """

    def __init__(self, make: Callable[[], PolicyKeeper]) -> None:
        """Make nothing yet."""
        self._make = make
        self.keeper: PolicyKeeper | None = None
        self.in_force, self.applied, self.ended = False, float("-inf"), 0

    def needed(self) -> PolicyKeeper:
        """Return the keeper, which is made now if it was not before."""
        self.keeper = self.keeper or self._make()
        return self.keeper

    @contextmanager
    def looking(self) -> Iterator[Callable[[], None]]:
        """Note whether the function that is handed out is called, which says that all is in force, before the end."""
        in_force = False

        def applied() -> None:
            nonlocal in_force
            in_force, self.applied = True, time.monotonic()

        try:
            yield applied
        finally:
            self.in_force = in_force


class Policies:
    """Lets calls know which namespaces have policies, and has the node's table follow from all of them."""

    name, reason = "policies", Reason.POLICIES_FAILED

    def __init__(self, around: Surroundings, enforcement: Enforcement) -> None:
        """Do nothing yet."""
        self._around, self._enforcement = around, enforcement

    def reconcile(self) -> Outcome:
        """Have `policy.json` and the table; what is not known yet changes nothing.

        The file comes first: a pod that is attached from then on starts closed where it says so.
        """
        with self._enforcement.looking() as applied:
            return self._reconcile(applied)

    def _reconcile(self, applied: Callable[[], None]) -> Outcome:
        cluster, settings = self._around.cluster, self._around.board.policies
        if settings is None:
            return NOT_YET
        with self._around.opened() as host:
            problems = tell_calls(self._around, host)
            followed = cluster.policies
            if settings.enforce and followed is None:
                return Outcome(calls_know(self._around.state_dir), problems)
            policies = followed.objects if settings.enforce and followed else ()
            cluster.follow_selected(needed=bool(policies))
            if policies:
                isolated = self._enforcement.needed().keep(host, settings)
                if isolated is None:
                    return Outcome(in_force=True, problems=problems)
            else:
                isolated = 0
                self._end(host)
        applied()
        keeper = self._enforcement.keeper
        refused = keeper.refused if keeper else {}
        unusable = [*refused, *(one for one in policies if one.broken)]
        self._around.board.count(
            PolicyCounts(len(policies), isolated, len(refused), invalid=len(unusable) - len(refused))
        )
        named = (_refused(one, refused[one]) if one in refused else _invalid(one) for one in _named(unusable))
        return Outcome(in_force=True, problems=(*problems, *named))

    def _end(self, host: Host) -> None:
        """Have no table, also where an agent of before has left one."""
        if self._enforcement.keeper or calls_enforce(self._around.state_dir) or host.table.has_policies():
            self._enforcement.needed().end(host)
            self._enforcement.keeper = None


class Waiting:
    """Part `waiting`: pods that have just come, whose ADDs ask for what applies to them, have it at once."""

    name, reason = "waiting", Reason.POLICIES_FAILED

    def __init__(self, around: Surroundings, enforcement: Enforcement, gate: PolicyGate) -> None:
        """Do nothing yet."""
        self._around, self._enforcement, self._gate = around, enforcement, gate

    def reconcile(self) -> Outcome:
        """Answer those whose Pod is known; the others go on by themselves when they have waited for long enough."""
        keeper = self._enforcement.keeper
        if keeper and (asking := self._gate.pending()):
            with self._around.opened() as host:
                self._gate.done(keeper.open(host, asking))
        return IN_FORCE


class Revocation:
    """Part `revocation`: connections end that the policies of now would not let begin.

    To read all connections of a node takes longer than an ADD waits, so the others go on meanwhile.
    """

    name, reason = "revocation", Reason.POLICIES_FAILED

    def __init__(self, around: Surroundings, enforcement: Enforcement) -> None:
        """Do nothing yet."""
        self._around, self._enforcement = around, enforcement

    def reconcile(self) -> Outcome:
        """End them, if policies have changed so that there may be any, and let those go on that are allowed again."""
        settings, keeper = self._around.board.policies, self._enforcement.keeper
        if keeper is None or settings is None or not settings.end_connections:
            return IN_FORCE
        with self._around.opened() as host:
            if ended := keeper.revoke(host, settings.mark):
                self._enforcement.ended += ended
                log.info("%d connections were ended that policies do not allow any more", ended)
        return IN_FORCE


def _named(unusable: Iterable[Policy]) -> list[Policy]:
    """Return those that are reported: of each namespace the first, then the second ones, and so on.

    So no tenant's policies hide what is wrong with those of others.
    """
    before = Counter[str]()
    turns: list[tuple[int, Policy]] = []
    for one in unusable:
        turns.append((before[one.namespace], one))
        before[one.namespace] += 1
    return [one for _, one in sorted(turns, key=itemgetter(0))[:_NAMED]]


def _invalid(policy: Policy) -> Problem:
    message = (
        f"NetworkPolicy {policy} cannot be understood: {policy.broken}; its pods are isolated, and it allows nothing "
        "until it is corrected"
    )
    return Problem(Reason.POLICY_INVALID, f"NetworkPolicy {policy}", message)


def _refused(policy: Policy, reason: str) -> Problem:
    message = (
        f"NetworkPolicy {policy} is not in force on this node, since the kernel refuses what follows from it: {reason}"
        "; its pods here are isolated, and it allows nothing until it is changed or the kernel takes it"
    )
    return Problem(Reason.POLICY_REFUSED, f"NetworkPolicy {policy}", message)
