"""`policy.json`, by which calls know what the API says of namespaces; the parts `policies` and `expose` both keep it.

A list that is not complete leaves what the file says of it as it is, and no file is made before it is known which
namespaces have policies: a call that finds none takes every pod to be isolated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slash80.agent import files
from slash80.agent.reconcilers.part import Surroundings, log, network_in_force
from slash80.desired.problems import Problem, Reason
from slash80.failpoints import Failpoint, hit
from slash80.host import policies
from slash80.host.context import Host
from slash80.settings import policy
from slash80.settings.policy import PolicyFile


def calls_know(state_dir: Path) -> bool:
    """Report whether calls find out which pods are isolated; the file is of this boot then."""
    found = policy.read(state_dir)
    return found is not None and found.enforced is not None


def tell_calls(around: Surroundings, host: Host) -> tuple[Problem, ...]:
    """Have the file say what is known now.

    It is written under the firewall's lock, under which an ADD reads it and gives its interface what follows: each ADD
    that has read the file of before is on record when this returns.
    """
    path = around.state_dir / policy.NAME
    wanted = _document(around)
    if wanted is not None and files.read(path) != wanted:
        with host.locks.firewall_held():
            if (wanted := _document(around)) is not None:
                before = policy.read(around.state_dir)
                files.write(path, files.text(wanted))
                hit(Failpoint.POLICIES_TOLD)
                if not _isolating(before):
                    policies.begin(host)
                    hit(Failpoint.POLICIES_BEGUN)
                listed = (len(wanted.get(key) or ()) for key in ("isolated", "mayExpose"))
                log.info("%s: %d namespaces have policies, pods of %d may open ports", policy.NAME, *listed)
    return _left_out(around, wanted)


def calls_enforce(state_dir: Path) -> bool:
    """Report whether calls take policies to be in force, so that they give each interface a verdict."""
    found = policy.read(state_dir)
    return bool(found and found.enforced)


def tell_calls_of_the_end(state_dir: Path) -> None:
    """Have the file say that no policy is in force any more, under the firewall's lock, under which the table went.

    Until then it says that no namespace has any. So an ADD never finds a table of which the file knows nothing, which
    would drop what its pod sends, and one that finds the file without the table puts one there that accepts.
    """
    found = policy.read(state_dir)
    exposing = found.may_expose if found else None
    document = policy.document(enforced=False, isolated=(), may_expose=exposing)
    files.write(state_dir / policy.NAME, files.text(document))


def _isolating(said: PolicyFile | None) -> bool:
    return bool(said and said.enforced and said.isolated != frozenset())


def _document(around: Surroundings) -> dict[str, Any] | None:
    """Return what the file has to say; None while too little is known."""
    before, cluster, settings = policy.read(around.state_dir), around.cluster, around.board.policies
    may_expose = None
    if _by_label(around.state_dir):  # or what labels said would count again when they decide later
        may_expose = cluster.exposing_namespaces
        if may_expose is None and before:
            may_expose = before.may_expose
    ending = bool(before and before.enforced)  # the part `policies` says when nothing is in force any more
    if settings and not settings.enforce:
        return policy.document(enforced=ending, isolated=(), may_expose=may_expose)
    if settings and (followed := cluster.policies):
        isolated = {one.namespace for one in followed.objects}
        return policy.document(enforced=bool(isolated) or ending, isolated=isolated, may_expose=may_expose)
    if before is None or before.enforced is None:
        return None
    found = policy.document(enforced=before.enforced, isolated=before.isolated or (), may_expose=may_expose)
    return found | ({"isolated": None} if before.isolated is None else {})


def _by_label(state_dir: Path) -> bool:
    found = network_in_force(state_dir)
    return found is None or found.network.conf.firewall.expose_from == "labelled"


def _left_out(around: Surroundings, document: dict[str, Any] | None) -> tuple[Problem, ...]:
    listed, namespaces = (document or {}).get("mayExpose"), around.cluster.exposing_namespaces
    if listed is None or namespaces is None or not (left_out := len(namespaces) - len(listed)):
        return ()
    message = f"{policy.NAME} has no room for {left_out} namespaces; set firewall.exposeFrom to all"
    return (Problem(Reason.EXPOSE_FAILED, policy.NAME, message),)
