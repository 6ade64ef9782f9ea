"""Part `conflist`: the file by which a runtime learns of the network, and from then on sends pods here."""

from __future__ import annotations

from pathlib import Path

from slash80.agent import files
from slash80.agent.reconcilers.board import Outcome
from slash80.agent.reconcilers.part import Surroundings, log
from slash80.desired.problems import Problem, Reason


class Conflist:
    """Writes the conflist last: a pod must find its prefixes, and the firewall before its link exists."""

    name, reason = "conflist", Reason.CONFLIST_FAILED

    def __init__(self, around: Surroundings) -> None:
        """Do nothing yet."""
        self._around = around

    def reconcile(self) -> Outcome:
        """Have the conflist once node and firewall are in force, and name the files that a runtime prefers to it."""
        conf_dir, board = self._around.options.conf_dir, self._around.board
        complete = all(board.outcome(part).in_force for part in ("node", "firewall"))
        if complete and files.install_conflist(conf_dir, self._around.state_dir):
            log.info("the conflist was written: pods can be attached")
        return Outcome(complete, tuple(map(_shadowed, files.earlier_than_ours(conf_dir))))


def _shadowed(path: Path) -> Problem:
    message = f"{path} comes before slash80's, so the runtime takes that one; remove it"
    return Problem(Reason.CONFLIST_SHADOWED, str(path), message)
