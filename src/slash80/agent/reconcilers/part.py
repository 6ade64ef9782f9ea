"""One part of what an agent does for its node: tried again and again, and reported whatever comes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slash80.agent import files
from slash80.agent.reconcilers.board import Board, Outcome
from slash80.agent.reconcilers.cluster_view import ClusterView
from slash80.cluster.api import Refused, Unreachable
from slash80.desired.problems import Problem, Reason
from slash80.errors import CniError, TryAgain
from slash80.host import compiled_network
from slash80.host.compiled_network import CompiledNetwork
from slash80.host.context import Host
from slash80.prefixes.static import Static
from slash80.settings import node as nodefile

log = logging.getLogger("slash80.controller")


@dataclass(frozen=True, slots=True)
class Options:
    """How the agent was started on Kubernetes: this node's name, and where things are."""

    node: str
    config: Path
    conf_dir: Path
    kept: Path
    static: Static
    health: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the parts work with. `opened` hands out the calling thread's sockets and the store, which stay open."""

    options: Options
    state_dir: Path
    opened: Callable[[], AbstractContextManager[Host]]
    cluster: ClusterView
    board: Board


class Part(Protocol):
    """Something that should be so, and that is made so. `reason` is the one of its failures."""

    name: str
    reason: Reason

    def reconcile(self) -> Outcome:
        """Make it so, as far as that can be done now. What is raised is an outcome, too."""


def attempt(part: Part, around: Surroundings) -> bool:
    """Let a part do its work, and post the outcome; return whether it needs no retry.

    A part that is not in force without a problem waits for another one, which wakes it. Each part's thread begins here,
    so nothing may get past it: a mistake in one part must not end the others.
    """
    try:
        outcome = part.reconcile()
    except (CniError, OSError, Refused, Unreachable) as error:
        outcome = _failed(Problem(part.reason, around.options.node, str(error)))
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        message = f"part {part.name} of the agent failed by a mistake in slash80, please report it: {what}"
        outcome = _failed(Problem(Reason.INTERNAL_ERROR, part.name, message))
        if outcome != around.board.outcome(part.name):
            log.exception("this is a mistake in slash80; please report it")
    for problem in around.board.post(part.name, outcome):
        log.warning("%s", problem)
    return outcome.in_force or not outcome.problems


def _failed(problem: Problem) -> Outcome:
    return Outcome(in_force=False, problems=(problem,))


@contextmanager
def tolerated(problems: list[Problem], reason: Reason, subject: str) -> Iterator[None]:
    """Let one step fail without keeping those after it from being done."""
    try:
        yield
    except (CniError, OSError) as error:
        problems.append(Problem(reason, subject, str(error)))


@dataclass(frozen=True, slots=True)
class InForce:
    """The network that pods are in; `lacks` is why it can take no more of them, as when all of its prefixes drain."""

    network: CompiledNetwork
    lacks: str = ""


def network_in_force(state_dir: Path) -> InForce | None:
    """Return what a runtime's calls find: the conflist's network with `node.json`; None until that is written."""
    if not (state_dir / nodefile.NAME).exists():
        return None
    document = files.conflist(state_dir)["plugins"][0] | {"name": files.NETWORK}
    try:
        return InForce(compiled_network.read(document))
    except TryAgain as error:
        return InForce(compiled_network.read(document, drained=True), error.msg)
