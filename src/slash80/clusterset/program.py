"""The parts of the program, put together: each waits for its own bell, and none for another one.

    file -> whom to ask and to answer       lists -> exports -> feed, from which the others are answered
    those asked, exports -> imports -> writer -> the API server

The API server may hang: then the lists stay as they are, the writer waits, and the exchange goes on.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.clock import SystemClock
from slash80.cluster.mistakes import MISTAKES
from slash80.cluster.runner import Pace, Runner
from slash80.clusterset import identity, state
from slash80.clusterset.cluster_facts import ClusterFacts, Recheck, ask
from slash80.clusterset.deadlines import Deadlines
from slash80.clusterset.documents import MANAGER, properties
from slash80.clusterset.documents import Members as Seen
from slash80.clusterset.exporter import Exported, Exporter
from slash80.clusterset.feed import Feed
from slash80.clusterset.follower import Home
from slash80.clusterset.followers import Followers
from slash80.clusterset.identity import Identity
from slash80.clusterset.lists import Bells, Lists
from slash80.clusterset.members import Members
from slash80.clusterset.membership import Membership, Standing
from slash80.clusterset.merge import Merger
from slash80.clusterset.observed import Observed
from slash80.clusterset.own_objects import OwnObjects
from slash80.clusterset.problems import Problem, Reason
from slash80.clusterset.report import Facts, report
from slash80.clusterset.requests import Exchange
from slash80.clusterset.server import Server
from slash80.clusterset.silence import Verdict, judge
from slash80.clusterset.wanted import Here, wanted
from slash80.clusterset.wire import encode
from slash80.clusterset.writer import Writer
from slash80.clusterset.writing import Writing
from slash80.errors import CniError
from slash80.settings.clusterset import Clusterset

_LOOK = 5.0  # seconds after which everything is looked at, whatever has not rung: silence rings no bell
_PACE = Pace(minimum=0.1, maximum=_LOOK, retry=1)
_REPORT_EVERY, _FIRST_REPORT = 60.0, 10.0  # seconds; the first one waits a little for the members to answer
_ASK_AGAIN = Pace(minimum=30, maximum=300, retry=30)
_REASONS = {"report": Reason.STATE_NOT_KEPT, "recheck": Reason.FACTS_UNKNOWN}  # of the parts that ask the API server
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is known before anything runs: who this cluster is, what it has, what an earlier process has kept.

    `kept` is the file by which it was the member `member_id` last; `before` has when each member answered an earlier
    process, in seconds of the clock.
    """

    identity: Identity
    facts: ClusterFacts
    kept: str = ""
    member_id: str = ""
    before: Mapping[str, float] = field(default_factory=dict)


class _Time:
    """Seconds of the kernel's clock, and the time of day."""

    def now(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def today(self) -> str:
        """Return the time of day in RFC 3339, UTC."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Program:
    """All parts of one cluster's program. What they share are values, which are replaced and never changed."""

    def __init__(
        self, api: Api, namespace: str, begin: Beginning, *, listen: tuple[str, int], lost: Callable[[str], None]
    ) -> None:
        """Put the parts together; nothing is started. `lost` is called with why all has to begin again."""
        self._begin, self._lost, self._time = begin, lost, _Time()
        self._own = OwnObjects(api.separate(), namespace)
        self._membership = Membership(begin.identity.der, begin.kept, begin.member_id)
        self._members = Members(begin.before)
        self._standing: Standing | None = None
        self._exporter, self._merger = Exporter(MANAGER), Merger()
        self._exported: Exported | None = None
        self._verdict, self._imports = Verdict({}, frozenset(), frozenset(), held=False), 0
        self._problems: dict[str, Problem | None] = {}
        self._reported: Mapping[str, str] = {}
        bells = Bells(
            file=partial(self._wake, "file"),
            namespaces=self._wake_namespaces,
            exported=partial(self._wake, "exports"),
            written=self._write_soon,
        )
        self._lists = Lists(api, namespace, begin.facts.versions, bells=bells)
        self._writing = self._make_writing(api.separate())
        self._deadlines, self._feed = Deadlines(), Feed(secrets.token_hex(8), encode=encode)
        changed = partial(self._wake, "imports")
        self._followers = Followers(
            begin.identity,
            self._followed,
            home=Home(self._here, begin.facts.services),
            changed=changed,
            deadlines=self._deadlines,
        )
        exchange = Exchange(self._feed, self._followers.places, lambda: self._lists.age)
        self._server = Server(
            listen,
            begin.identity,
            self._listed,
            exchange=exchange,
            seen=self._followers.seen,
            deadlines=self._deadlines,
        )
        self._runners = {
            "file": self._runner("file", self._look_at_file),
            "exports": self._runner("exports", self._export),
            "imports": self._runner("imports", self._import),
        }
        self._reporter = self._runner("report", self._report)
        asked = partial(ask, api.separate(), namespace)
        recheck = Recheck(begin.facts, asked, soon=self._ask_soon, lost=lost)
        self._rechecker = self._runner("recheck", recheck.look, _ASK_AGAIN)
        self._due = self._time.now() + _FIRST_REPORT

    def start(self) -> None:
        """Start all parts."""
        self._deadlines.start()
        self._server.start()
        self._lists.start()
        self._writing.start()
        for runner in (*self._runners.values(), self._reporter, self._rechecker):
            runner.start()

    def stop(self) -> None:
        """End all parts. What waits for the API server is not waited for: what it has begun is whole or not there."""
        for runner in (*self._runners.values(), self._reporter, self._rechecker):
            runner.stop()
        self._writing.stop()
        self._followers.stop()
        self._server.stop()
        self._lists.stop()
        self._deadlines.stop()

    @property
    def idle(self) -> float:
        """Seconds since the part that is most behind did its work; none of these waits for the API server."""
        return max(runner.idle for runner in self._runners.values())

    @property
    def port(self) -> int:
        """The port on which members are answered."""
        return self._server.port

    def _make_writing(self, api: Api) -> Writing:
        lists, served = self._lists, self._begin.facts.versions
        about = served.properties or served.services
        observed = Observed(
            lists.imports,
            lists.services,
            lists.written,
            exports=lists.exports,
            properties=lists.properties,
            versions=(served.services, about),
        )
        return Writing(Writer(api, observed, self._time, version=served.services), observed, lists)

    def _runner(self, name: str, work: Callable[[], None], pace: Pace = _PACE) -> Runner:
        return Runner(name, partial(self._attempt, name, work), pace, clock=SystemClock())

    def _wake(self, name: str) -> None:
        self._runners[name].wake()

    def _wake_namespaces(self) -> None:
        self._wake("exports")
        self._wake("file")  # members are asked from now on

    def _ask_soon(self) -> None:
        self._rechecker.wake()

    def _write_soon(self) -> None:
        self._writing.wake()

    def _attempt(self, name: str, work: Callable[[], None]) -> bool:
        """Let a part do its work; return whether it needs no retry."""
        problem = None
        try:
            work()
        except (CniError, Refused, Unreachable) as error:
            problem = Problem(_REASONS.get(name, Reason.INTERNAL_ERROR), name, str(error))
        except MISTAKES as error:
            why = f"part {name} failed by a mistake in slash80, please report it: {type(error).__name__}: {error}"
            problem = Problem(Reason.INTERNAL_ERROR, name, why)
            if problem != self._problems.get(name):
                _log.exception("this is a mistake in slash80; please report it")
        if problem and problem != self._problems.get(name):
            _log.warning("%s", problem)
        self._problems = {**self._problems, name: problem}
        return not problem

    def _listed(self) -> Clusterset | None:
        """Return those who are believed; None while this cluster is not a member."""
        standing = self._standing
        return standing.clusterset if standing and standing.active else None

    def _followed(self) -> Clusterset | None:
        """Return those who are asked. A member is believed about namespaces of this cluster only.

        Before these are known all that it exports would be dropped as of namespaces elsewhere, and what was imported be
        deleted.
        """
        return self._listed() if self._lists.namespaces.synced else None

    def _here(self) -> frozenset[str]:
        return frozenset(self._lists.namespaces.objects)

    def _look_at_file(self) -> None:
        if not self._lists.file.synced:
            return
        listed = next(iter(self._lists.file.objects), None)
        standing = self._membership.read(listed, self._time.now(), self._begin.facts.services)
        before, self._standing = self._standing, standing
        self._followers.follow()
        if standing == before:
            return
        _log.info("%s", standing.problem or f"member {standing.own.id if standing.own else ''} of the clusterset")
        self._server.refresh()
        self._wake("exports")
        self._reporter.wake()

    def _export(self) -> None:
        if self._standing is None or not self._lists.synced:
            return
        self._exported = exported = self._exporter.exported(
            self._lists.exports.objects, self._lists.service, self._lists.slices_of, member=self._standing.own
        )
        if exported.member:
            self._feed.publish(exported.exports)
        else:
            self._feed.withdraw()  # else the first to ask when it is a member again would delete all that it imports
        self._wake("imports")

    def _import(self) -> None:
        standing, own = self._standing, self._exported
        if standing is None or own is None or not standing.known or not self._lists.synced:
            return  # where nothing is known, what was may still be right: what is there, and when each has answered
        now = self._time.now()
        self._members.update(standing.others, self._followers.all, now)
        verdict = self._judged(now)
        if own.member != standing.own:
            return  # it is being judged by another entry
        here = Here(standing.own.id if standing.own else "", self._begin.facts.families, self._here())
        self._followers.again(here.namespaces)  # each time: one may come while an answer does, or go and come back
        others = {name: found for name, found in self._members.exports.items() if name not in verdict.gone}
        merged, result = wanted(
            others,
            own,
            here,
            merge=self._merger.merge,
            serviceexport=lambda name: self._lists.exports.get(str(name)),
            now=self._time.today(),
        )
        self._imports = len(merged.imports)
        seen = Seen(here.id, verdict.silent, verdict.gone, self._members.unknown - verdict.gone)
        named = standing.clusterset.name if standing.clusterset and self._begin.facts.versions.properties else ""
        about = properties(here.id, named, self._begin.facts.versions.properties) if named else []
        self._writing.want(result, seen, tuple(about))

    def _judged(self, now: float) -> Verdict:
        verdict, before = judge(self._members.contacts, now), self._verdict
        self._verdict = verdict
        for name, condition in verdict.conditions.items():
            if condition != before.conditions.get(name, condition):
                _log.info("member %s: %s", name, condition)
        if verdict.held and not before.held:
            _log.warning("most members are silent at once, so it is taken for this cluster's own fault")
        return verdict

    def _report(self) -> None:
        if self._standing is None:
            return
        # the file is kept at once: a restart without one deletes what was imported
        joined = self._standing.known and self._standing.kept != self._reported.get(state.FILE_KEY, self._begin.kept)
        if self._time.now() < self._due and not joined:
            return
        self._due = self._time.now() + _REPORT_EVERY
        kept = self._standing.kept
        data = {
            state.KEY: state.write(self._state(self._standing), state.ROOM - len(kept.encode())),
            state.FILE_KEY: kept,
        }
        if not self._standing.known:
            del data[state.FILE_KEY]
        if data != self._reported:
            self._own.keep(data)
            self._reported = data
        if identity.load(self._own.secret()) != self._begin.identity:
            self._lost("the Secret has another key now")

    def _state(self, standing: Standing) -> state.State:
        facts = Facts(
            standing,
            self._exported or Exported({}, {}),
            self._verdict,
            self._members.known,
            self._followers.all,
            self._imports,
            (*self._lists.problems, *filter(None, self._problems.values()), *self._writing.problems),
        )
        return report(facts, time.time() - self._time.now())
