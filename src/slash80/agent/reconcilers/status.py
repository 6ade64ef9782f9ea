"""Part `status`: the Node object shows what Kubernetes should see of this node."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from slash80.agent.reconcilers.board import IN_FORCE, NOT_YET, Outcome
from slash80.agent.reconcilers.part import Surroundings
from slash80.agent.reconcilers.patches import patches
from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.objects.node import NODES
from slash80.desired.node_status import node_status
from slash80.desired.problems import Reason


def today() -> datetime:
    """Return the time of the clock on the wall, which Kubernetes' conditions have."""
    return datetime.now(UTC)


class Status:
    """Patches the Node. It is the only part that waits for the API server, and no other part waits for it."""

    name, reason = "status", Reason.STATUS_FAILED

    def __init__(self, around: Surroundings, api: Api, today: Callable[[], datetime] = today) -> None:
        """Do nothing yet."""
        self._around, self._api, self._today = around, api, today

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
        return IN_FORCE
