"""Part `expose`: pods have the ports open that they ask for and may open now."""

from __future__ import annotations

from slash80.agent.reconcilers.board import NOT_YET, Outcome
from slash80.agent.reconcilers.part import Surroundings, log, network_in_force
from slash80.agent.reconcilers.policy_file import tell_calls
from slash80.desired.problems import Reason
from slash80.host import exposure


class Expose:
    """Lets calls know which namespaces may open ports, and has pods that run follow."""

    name, reason = "expose", Reason.EXPOSE_FAILED

    def __init__(self, around: Surroundings) -> None:
        """Do nothing yet."""
        self._around = around

    def reconcile(self) -> Outcome:
        """Have `policy.json`, records and firewall follow from labels and `node.json`.

        The file comes first: an ADD that reads it later records what the pods that are there already get here.
        """
        found = network_in_force(self._around.state_dir)
        if found is None:
            return NOT_YET
        conf = found.network.conf
        with self._around.opened() as host:
            problems = tell_calls(self._around, host)
            for one in exposure.judge(host, conf):
                verb = "open" if one.openings.expose_allowed else "closed"
                log.info(
                    "%s: ports %s are %s to everybody now", one.key, ", ".join(map(str, one.openings.expose)), verb
                )
        return Outcome(in_force=True, problems=problems)
