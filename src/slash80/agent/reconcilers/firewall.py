"""Part `firewall`: the node's table is in place, whole, and as `node.json` has it."""

from __future__ import annotations

from slash80.agent import files
from slash80.agent.firewall_keeper import FirewallMonitor, fill, put_back
from slash80.agent.reconcilers import trusted_before
from slash80.agent.reconcilers.board import NOT_YET, Outcome
from slash80.agent.reconcilers.part import Surroundings, log, network_in_force, tolerated
from slash80.desired.problems import Problem, Reason
from slash80.host.repair import Expected


class Firewall:
    """Puts the table back when it was flushed or changed. It asks nothing of the API."""

    name, reason = "firewall", Reason.FIREWALL_FAILED

    def __init__(self, around: Surroundings, changed_by: FirewallMonitor) -> None:
        """Do nothing yet."""
        self._around, self._changed_by, self._expected = around, changed_by, Expected()

    def reconcile(self) -> Outcome:
        """Have the table that follows from `node.json`; until there is one the node's part says why."""
        found = network_in_force(self._around.state_dir)
        if found is None:
            return NOT_YET
        with self._around.opened() as host:
            board = self._around.board
            if put_back(host, self._expected, self._changed_by.author):
                board.repaired("firewall")
            if host.ensure_firewall(found.network.ruleset, files.NETWORK):
                log.info("the firewall was put in place")
            if filled := fill(host, found.network.prefixes):
                board.repaired("pod_elements", filled)
        problems: list[Problem] = []
        with tolerated(problems, Reason.CONNECTIONS_NOT_ENDED, trusted_before.NAME):
            if ended := trusted_before.end_others(self._around.state_dir, found.network):
                log.info("%d connections with members that are not trusted any more were ended", ended)
        return Outcome(in_force=True, problems=tuple(problems))
