"""Part `routes`: routes of ours to other nodes' prefixes, and none beside them."""

from __future__ import annotations

from collections.abc import Sequence

from slash80.addressing.family import Prefix
from slash80.agent.reconcilers.board import NOT_YET, Outcome
from slash80.agent.reconcilers.part import Surroundings, log
from slash80.desired.problems import Problem, Reason
from slash80.host.context import Host
from slash80.wiring import node_routes, veth
from slash80.wiring.plan import NodeRoute


class Routes:
    """Makes the routes that should be there. While that is not known, those that are there stay."""

    name, reason = "routes", Reason.ROUTES_FAILED

    def __init__(self, around: Surroundings) -> None:
        """Do nothing yet."""
        self._around = around

    def reconcile(self) -> Outcome:
        """Have the routes, and look which prefixes still have none: their nodes may be behind a router."""
        board = self._around.board
        if board.desired is None:
            return NOT_YET
        with self._around.opened() as host:
            problems = apply(host, board.desired.routes)
            board.miss(unrouted(host, board.desired.others))
        return Outcome(not problems, tuple(problems))


def apply(host: Host, wanted: Sequence[NodeRoute]) -> list[Problem]:
    """Have these routes; return a problem for each that a foreign one is in the way of."""
    result = node_routes.reconcile(host.netlink, wanted)
    for command in result.done:
        log.info("%s", command)
    return [
        *map(_blocked, result.blocked),
        *(Problem(Reason.ROUTES_FAILED, command, why) for command, why in result.failed),
    ]


def unrouted(host: Host, others: Sequence[Prefix]) -> tuple[str, ...]:
    """Return the IPv4 prefixes of other nodes that this one has no route to but its default route."""
    with veth.translated():
        return tuple(
            str(prefix) for prefix in others if prefix.version == 4 and not node_routes.has_route(host.netlink, prefix)
        )


def _blocked(command: str) -> Problem:
    message = f"another program's route is in the way of `{command}`; delete it, or set nodeRoutes to none"
    return Problem(Reason.ROUTE_CONFLICT, command, message)
