"""Part `status`: the Node object shows what Kubernetes should see of this node."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from slash80.agent.reconcilers.board import NOT_YET, Outcome
from slash80.agent.reconcilers.part import Surroundings
from slash80.agent.reconcilers.patches import patches
from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.objects.node import NODES
from slash80.desired.node_status import node_status
from slash80.desired.problems import Problem, Reason

_TRIED_EVERY, _APPLIED_WITHIN = timedelta(hours=1), timedelta(seconds=30)
_FORBIDDEN = {403, 422}  # by RBAC; by a ValidatingAdmissionPolicy, whose reason is Invalid unless it says otherwise
_UNRESTRICTED = Problem(
    Reason.RIGHTS_UNRESTRICTED,
    "slash80-own-node",
    "the agent's token may change every field of every Node, and so may anyone who steals it from a node: no "
    "ValidatingAdmissionPolicy matches it; apply manifests/base/admission.yaml, which needs Kubernetes 1.30, and keep "
    "the service account's name slash80",
)


def today() -> datetime:
    """Return the time of the clock on the wall, which Kubernetes' conditions have."""
    return datetime.now(UTC)


class Status:
    """Patches the Node. It is the only part that waits for the API server, and no other part waits for it."""

    name, reason = "status", Reason.STATUS_FAILED

    def __init__(self, around: Surroundings, api: Api, today: Callable[[], datetime] = today) -> None:
        """Do nothing yet."""
        self._around, self._api, self._today = around, api, today
        self._refused_at: datetime | None = None
        self._admitted_since: datetime | None = None

    def reconcile(self) -> Outcome:
        """Have the Node show the status; raise Unreachable when the API server does not let it."""
        own, board = self._around.cluster.own, self._around.board
        if own is None or board.desired is None:
            return NOT_YET
        wanted = node_status(board.desired, ready=board.ready, unrouted=board.unrouted)
        try:
            for patch in patches(own, wanted, self._today()):
                self._api.patch(f"{NODES.path}/{own.name}{patch.part}", patch.body, kind=patch.kind)
        except (Refused, Unreachable) as error:
            raise Unreachable(f"the status of node {own.name} cannot be set: {error}") from error
        return Outcome(in_force=True, problems=self._restriction(own.name))

    def _restriction(self, node: str) -> tuple[Problem, ...]:
        """Return the problem that the token may change what it never has to; it is tried every hour.

        One that is admitted is tried again at every run: a policy is in force some seconds after it was applied.
        """
        now = self._today()
        if self._refused_at is None or now - self._refused_at >= _TRIED_EVERY:
            with suppress(Unreachable):  # which the next patch that is needed reports
                if may_change_labels(self._api, node):
                    self._refused_at, self._admitted_since = None, self._admitted_since or now
                else:
                    self._refused_at, self._admitted_since = now, None
        lasts = self._admitted_since is not None and now - self._admitted_since >= _APPLIED_WITHIN
        return (_UNRESTRICTED,) if lasts else ()


def may_change_labels(api: Api, node: str) -> bool:
    """Report whether the API server would let this token label a Node, by a dry run; raise Unreachable.

    The admission policy of the manifests forbids it. It is missing where Kubernetes is older than 1.30 or the manifests
    were applied in part, and does not match where the service account has another name. Source:
    https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
    """
    label = {"metadata": {"labels": {"node-restriction.kubernetes.io/slash80-dry-run": "true"}}}
    try:
        api.patch(f"{NODES.path}/{node}", label, kind="merge", dryRun="All")
    except Refused as refusal:
        if refusal.status not in _FORBIDDEN:
            raise Unreachable(str(refusal)) from refusal
        return False
    return True
