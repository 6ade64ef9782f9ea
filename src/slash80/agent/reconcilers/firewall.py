"""Part `firewall`: the node's table is in place, whole, and as `node.json` has it."""

from __future__ import annotations

from slash80.agent import files
from slash80.agent.firewall_keeper import FirewallMonitor, put_back
from slash80.agent.reconcilers.board import IN_FORCE, NOT_YET, Outcome
from slash80.agent.reconcilers.part import Surroundings, log, network_in_force
from slash80.desired.problems import Reason
from slash80.host import node_facts, pod_elements


class Firewall:
    """Puts the table back when it was flushed or changed. It asks nothing of the API."""

    name, reason = "firewall", Reason.FIREWALL_FAILED

    def __init__(self, around: Surroundings, changed_by: FirewallMonitor) -> None:
        """Do nothing yet."""
        self._around, self._changed_by = around, changed_by

    def reconcile(self) -> Outcome:
        """Have the table that follows from `node.json`; until there is one the node's part says why."""
        found = network_in_force(self._around.state_dir)
        if found is None:
            return NOT_YET
        with self._around.opened() as host:
            put_back(host, self._changed_by)
            if host.ensure_firewall(found.network.ruleset, files.NETWORK):
                log.info("the firewall was put in place")
            if changed := pod_elements.reconcile(host):
                log.info("%d of the firewall's elements of pods were missing or left over", changed)
            if node_facts.reconcile(host, found.network.prefixes):
                log.info("the firewall was told the node's own prefixes, addresses and routes again")
        return IN_FORCE
