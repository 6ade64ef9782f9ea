"""`slash80 clusterset serve`: the process around the program, from the first question to a signal."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from slash80 import __version__
from slash80.cluster import credentials
from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.credentials import SERVICE_ACCOUNT
from slash80.cluster.objects.reading import Unreadable
from slash80.cluster.pace import Pace
from slash80.clusterset import dry_run, identity, state
from slash80.clusterset.cluster_facts import ask
from slash80.clusterset.identity import Identity
from slash80.clusterset.own_objects import OwnObjects
from slash80.clusterset.program import Beginning, Program
from slash80.clusterset.service_ranges import are_known
from slash80.errors import CniError, InvalidConfig

FORMAT = "%(asctime)s %(levelname)s %(message)s"
_ENDING = {signal.SIGTERM, signal.SIGINT}
_IN_FORCE = 60.0  # seconds after which a policy that was applied a moment ago is in force
_LOOK = 1.0
_HUNG = 300.0  # seconds without a look: a part that waits for nothing has hung by a mistake of ours
_UNRESTRICTED = (
    "no admission policy holds this account to its own objects, so a stolen token could redirect every Service; apply "
    "manifests/clusterset, which needs Kubernetes 1.30, or start with --without-admission-policy"
)
_UNKNOWN_RANGES = "apply manifests/clusterset again, which has the right to read ServiceCIDRs"
T = TypeVar("T")
_log = logging.getLogger("slash80.clusterset")


@dataclass(frozen=True, slots=True)
class Options:
    """How it was started: where members are answered, and whether it may run without an admission policy."""

    listen: tuple[str, int]
    unrestricted: bool = False
    account: Path = SERVICE_ACCOUNT


class _Ended(Exception):
    """A signal asks the process to end."""


def run(options: Options) -> int:
    """Run to the end, and return the exit code."""
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # in all threads: this one looks for them
    try:
        api = Api(credentials.in_cluster(os.environ, options.account))
        namespace = (options.account / "namespace").read_text(encoding="utf-8").strip()
        return _serve(api, namespace, options)
    except _Ended:
        return 0
    except (CniError, OSError) as error:
        _log.error("%s", error)
    return 1


def _serve(api: Api, namespace: str, options: Options) -> int:
    begin = _beginning(api, namespace, options)
    lost: list[str] = []
    program = Program(api, namespace, begin, listen=options.listen, lost=lost.append)
    program.start()
    _log.info("slash80 %s serves members on port %d", __version__, program.port)
    while not lost and program.idle < _HUNG:
        if signal.sigtimedwait(_ENDING, _LOOK):
            break
    else:
        _log.error("%s; the program ends, so that it is started again", lost[0] if lost else "a part of it has hung")
    failed = bool(lost) or program.idle >= _HUNG
    program.stop()
    return int(failed)


def _beginning(api: Api, namespace: str, options: Options) -> Beginning:
    """Ask for what is needed before anything runs, for as long as it takes; raise InvalidConfig or _Ended."""
    own = OwnObjects(api, namespace)
    if not options.unrestricted:
        _have_restriction(api, namespace)
    facts, key = _answered(lambda: ask(api, namespace)), _answered(lambda: _identity(own))
    if not are_known(facts.services):
        _log.warning("which addresses this cluster's Services have is not known; %s", _UNKNOWN_RANGES)
    kept = _answered(own.state)
    said = _said(kept)
    return Beginning(key, facts, kept.get(state.FILE_KEY, ""), said.cluster, _before(said))


def _have_restriction(api: Api, namespace: str) -> None:
    end = time.monotonic() + _IN_FORCE
    while not _answered(lambda: dry_run.restricted(api, namespace)):
        if time.monotonic() > end:
            raise InvalidConfig(_UNRESTRICTED)
        _rest(_LOOK)


def _identity(own: OwnObjects) -> Identity:
    found = identity.load(own.filled(identity.create))
    if found is None:
        raise InvalidConfig("the Secret slash80-clusterset has keys of other names; empty it, and it gets its own")
    return found


def _said(kept: Mapping[str, str]) -> state.State:
    """Return what an earlier process has said of itself."""
    try:
        return state.read(kept[state.KEY]) if kept.get(state.KEY) else state.State()
    except Unreadable as error:
        _log.warning("%s; it is written again", error)
        return state.State()


def _before(said: state.State) -> Mapping[str, float]:
    """Return when members answered an earlier process, in seconds of the clock; a wrong clock makes no one younger."""
    since_1970, now = time.time() - time.monotonic(), time.monotonic()
    answers = {name: one.answered for name, one in said.members.items()}
    return {name: min(one - since_1970, now) for name, one in answers.items() if one is not None}


def _answered(question: Callable[[], T]) -> T:
    """Ask until there is an answer, also while something is missing that a person brings; raise _Ended."""
    pace, said = Pace(), ""
    while True:
        began = time.monotonic()
        try:
            return question()
        except (CniError, Refused, Unreachable, Unreadable) as error:
            if str(error) != said:
                _log.warning("%s; trying again", error)
            said = str(error)
        pace.failed()
        _rest(pace.rest(began=began, now=time.monotonic()))


def _rest(seconds: float) -> None:
    if signal.sigtimedwait(_ENDING, seconds):
        raise _Ended
