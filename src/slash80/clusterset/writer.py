"""Writes the objects of imported Services, and the conditions of exported ones: little, paced, again after a failure.

What is there is compared with what is wanted, so what has not changed is not written, and a start after any crash is
nothing special. Names of which something changed are looked at; a few of them come before many, so that the change of
one Service does not wait until ten thousand others are written.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from slash80.cluster.api import Refused, Unreachable
from slash80.cluster.objects.reading import Document
from slash80.cluster.pace import Pace
from slash80.clusterset.differences import Change, Record, There, Verb, Wanted, applies, changes
from slash80.clusterset.documents import MANAGER, Desired, Members, demoted
from slash80.clusterset.observed import read
from slash80.clusterset.pacing import Allowances, Bucket, Lanes
from slash80.clusterset.problems import Problem, Reason
from slash80.clusterset.records import Name
from slash80.clusterset.served import Served
from slash80.errors import CniError

RATE = 50.0  # writes a second
# names that one member may change at once, and in a second over time, before all of its changes come after the others'
_ALLOWED, _OVER_TIME = 100, 5.0
_TURN, _LOOKED = 25, 100  # changes, or names, after which what came meanwhile is looked at
_PASSES = 6  # how often a name's objects follow from each other: import, Service, its address in the import
_BELIEVED = 30.0  # seconds for which an answer counts before the watch must have confirmed it
_AGAIN = 600.0  # seconds within which the same change counts as repeated
_LONGEST = 300.0  # seconds that an object rests after failures
_DOUBLINGS = 10
_NAMED = 100
_REMEMBERED = 50_000
PROPERTIES = Name("", "clusterproperties")
_KINDS = {
    "clusterproperties": "ClusterProperty",
    "endpointslices": "EndpointSlice",
    "serviceexports": "ServiceExport",
    "serviceimports": "ServiceImport",
    "services": "Service",
}
_log = logging.getLogger(__name__)


class Writes(Protocol):
    """The part of the API client that changes objects."""

    def get(self, path: str) -> Document:
        """Return an object."""

    def apply(self, path: str, body: Document, *, manager: str, force: bool) -> Document:
        """Apply fields."""

    def delete(self, path: str, *, uid: str) -> None:
        """Delete an object."""


class View(Protocol):
    """What is there, as the watches say."""

    def there(self, name: Name) -> There:
        """Return the objects of a name by path."""

    def names(self, clusters: Collection[str] | None = None) -> set[Name]:
        """Return all names of which there is something of ours, or those in which some clusters have a part."""


class Time(Protocol):
    """Seconds for pacing, and the time of day for conditions."""

    def now(self) -> float:
        """Return seconds since some moment."""

    def today(self) -> str:
        """Return the time of day in RFC 3339, UTC."""


@dataclass(slots=True)
class _Answer:
    """What an object is by the answer to our change, while the watch still shows what was before."""

    before: list[Record | None]
    after: Record | None
    until: float


@dataclass(slots=True)
class _Attempts:
    """How often the same change of an object was made or failed, and until when it rests."""

    digest: bytes = b""
    times: int = 0
    at: float = float("-inf")
    rests_until: float = float("-inf")


class Writer:
    """Brings the objects of one cluster to what is wanted; for one thread."""

    def __init__(self, api: Writes, view: View, time: Time, *, version: str = "v1beta1", rate: float = RATE) -> None:
        """Begin without anything that is wanted; nothing is written before `want`."""
        self._api, self._view, self._time, self._served = api, view, time, Served(version)
        self._members, self._wanted = Members(), dict[Name, Wanted]()
        self._properties: tuple[Desired, ...] = ()
        self._lanes, self._bucket, self._pace = Lanes(), Bucket(rate), Pace()
        self._allowances = Allowances(_OVER_TIME, _ALLOWED)
        self._answers: dict[Name, dict[str, _Answer]] = {}
        self._attempts: dict[str, _Attempts] = {}
        self._resting: dict[Name, float] = {}
        self._foreign: dict[Name, set[str]] = {}
        self._failures: dict[Name, set[str]] = {}
        self._until, self._started, self._writes = float("-inf"), False, 0
        self.problems: dict[str, Problem] = {}

    @property
    def written(self) -> int:
        """How many changes were made."""
        return self._writes

    @property
    def refused(self) -> list[Problem]:
        """What is left out of objects because the API server does not take it."""
        return [Problem(Reason.VALUE_REFUSED, kind, why) for (kind, _), why in self._served.refused.items()]

    @property
    def wanted(self) -> Collection[Name]:
        """The names of which something is wanted."""
        return self._wanted.keys()

    @property
    def pending(self) -> int:
        """How many names have still to be looked at."""
        return len(self._lanes.few) + len(self._lanes.many)

    def want(self, wanted: Mapping[Name, Wanted], members: Members, properties: Iterable[Desired] = ()) -> None:
        """Take what is wanted of all names, and look at those for which that is something else than before."""
        before, self._wanted = self._wanted, dict(wanted)
        changed = {name for name in before.keys() | wanted.keys() if before.get(name) != self._wanted.get(name)}
        changed -= self._forgotten(before.keys() - wanted.keys())
        concerned: set[Name] = set()
        if members != self._members:
            concerned = self._concerned(self._members, members)
            self._members = members
        late = {name for name in changed if not self._allowed(before.get(name), wanted.get(name))}
        self._lanes.defer(late)
        changed = (changed - late) | concerned
        if (listed := tuple(properties)) != self._properties:
            self._properties = listed
            changed.add(PROPERTIES)
        if self._served.refused:
            self._served.only(
                {one.imported.properties.traffic_distribution for one in self._wanted.values() if one.imported}
            )
        if not self._started:
            changed |= self._view.names() | {PROPERTIES}
            self._started = True
        self._lanes.add(changed)

    def changed(self, names: Iterable[Name]) -> None:
        """Look at names of which the watches have shown something else; nothing before it is known what is wanted."""
        if self._started:
            self._lanes.look(names)

    def write(self) -> float:
        """Make some changes, and return after how many seconds there is more to do; infinite if that is nothing."""
        now = self._time.now()
        if now < self._until:
            return self._until - now
        self._wake(now)
        made, looked = self._writes, 0
        while (taken := self._lanes.take()) is not None:
            name, lane = taken
            if not self._settle(name):
                lane[name] = None
                lane.move_to_end(name, last=False)
                return max(self._bucket.rest, self._until - self._time.now())
            looked += 1
            if self._writes - made >= _TURN or looked >= _LOOKED:
                return 0.0
        return min((until - now for until in self._resting.values()), default=float("inf"))

    def _allowed(self, before: Wanted | None, after: Wanted | None) -> bool:
        """Report whether a change is this cluster's, or of a member that has not changed too much of late.

        A hostile member could else have others wait behind what it changes all the time, to no end.
        """
        imported, former = after.imported if after else None, before.imported if before else None
        members = imported.changed_by if imported else frozenset(former.clusters if former else ())
        return not members or self._members.here in members or self._allowances.spend(members, self._time.now())

    def _forgotten(self, names: Iterable[Name]) -> set[Name]:
        """Forget names that are not wanted any more and of which nothing was written; return them.

        A member that exports other Services in each answer would otherwise have them pile up here.
        """
        found = {name for name in names if not self._answers.get(name) and not self._view.there(name)}
        self._lanes.drop(found)
        for name in found:
            self._forget(name)
        return found

    def _forget(self, name: Name) -> None:
        self._resting.pop(name, None)
        for path in self._failures.pop(name, set()):
            self.problems.pop(path, None)
            self._attempts.pop(path, None)

    def _concerned(self, before: Members, after: Members) -> set[Name]:
        """Return the names whose objects depend on what has changed of the members."""
        if before.here != after.here:
            return {*self._wanted} | self._view.names()
        changed = (before.silent ^ after.silent) | (before.gone ^ after.gone) | (before.unheard ^ after.unheard)
        wanted = {name for name, one in self._wanted.items() if one.imported and changed & {*one.imported.clusters}}
        return wanted | self._view.names(changed)

    def _wake(self, now: float) -> None:
        if len(self._attempts) > _REMEMBERED:
            self._attempts = {path: one for path, one in self._attempts.items() if now - one.at < _AGAIN}
        if awake := [name for name, until in self._resting.items() if until <= now]:
            for name in awake:
                del self._resting[name]
            self._lanes.look(awake)

    def _settle(self, name: Name) -> bool:
        """Make the changes of a name; return whether that is all that can be done now."""
        for _ in range(_PASSES):
            due = [one for one in self._changes(name) if not self._rests(name, one)]
            if not due:
                break
            for change in due:
                if not self._bucket.take(self._time.now()):
                    return False
                if not self._make(name, change):
                    return False
                if change.decides:
                    break  # what follows depends on it
        if name not in self._wanted:
            self._forgotten({name})
        return True

    def _changes(self, name: Name) -> list[Change]:
        there = self._there(name)
        if name == PROPERTIES:
            return self._of_properties(there)
        wanted = self._wanted.get(name, Wanted())
        found, problems = changes(
            name, wanted, there, members=self._members, now=self._time.today(), served=self._served
        )
        for path in self._foreign.pop(name, set()) - problems.keys():
            self.problems.pop(path, None)
        for path, why in problems.items():
            self._foreign.setdefault(name, set()).add(path)
            self._note(path, Problem(Reason.OBJECT_OF_OTHER, _named(path), why))
        return found

    def _of_properties(self, there: There) -> list[Change]:
        ours = {path for path, one in there.items() if getattr(one, "managed_by", "") == MANAGER}
        wanted = [one for one in self._properties if one.path in ours or one.path not in there]
        paths = {one.path for one in wanted}
        gone = [Change(Verb.DELETE, path, path, uid=there[path].uid) for path in sorted(ours - paths)]
        for path in sorted(there.keys() - ours & {one.path for one in self._properties}):
            what = _named(path)
            self._note(path, Problem(Reason.OBJECT_OF_OTHER, what, f"{what} was made by another program; delete it."))
        return [*applies(wanted, there), *(one for one in gone if not there[one.path].deleting)]

    def _there(self, name: Name) -> There:
        """Return what is there by the watches, and by the answers that are newer than what they have shown."""
        shown = dict(self._view.there(name))
        answers, now = self._answers.get(name, {}), self._time.now()
        result = dict(shown)
        for path, answer in [*answers.items()]:
            if shown.get(path) not in answer.before or shown.get(path) == answer.after or now > answer.until:
                del answers[path]
            elif answer.after is None:
                result.pop(path, None)
            else:
                result[path] = answer.after
        if not answers:
            self._answers.pop(name, None)
        for answer in answers.values():
            # the watch may be late, or have shown a state again that was there before: then nothing else looks at it
            self._look_again(name, answer.until)
        return result

    def _make(self, name: Name, change: Change) -> bool:
        """Make a change; return False if the API server cannot be reached."""
        attempts = self._attempts.setdefault(change.path, _Attempts())
        now = self._time.now()
        try:
            after = self._sent(change)
        except (CniError, Unreachable) as error:  # the former where there is no credential
            self._pace.failed()
            self._until = now + self._pace.rest(began=now, now=now)
            self._note("", Problem(Reason.API_UNREACHABLE, "API server", f"Nothing can be written: {error}."))
            return False
        except (Refused, ValueError) as error:  # the latter where the answer cannot be understood
            if instead := self._served.refuse(change.body, str(error)):
                _log.warning("%s", instead)
            else:
                self._failed(name, change, attempts, why=str(error))
            return True
        self._pace.succeeded()
        self._writes += 1
        self.problems.pop("", None)
        self._repeated(name, change, attempts)
        self._answered(name, change.object, after)
        return True

    def _sent(self, change: Change) -> Record | None:
        if change.verb is Verb.DELETE:
            self._api.delete(change.path, uid=change.uid)
            return None
        # what is in the slice now is not kept in memory: one in thousands is ever asked for
        body = change.body or demoted(self._api.get(change.path), change.uid)
        answer = self._api.apply(change.path, body, manager=MANAGER, force=change.verb is not Verb.CREATE)
        return read(answer, body["kind"], MANAGER)

    def _answered(self, name: Name, path: str, after: Record | None) -> None:
        shown = self._view.there(name).get(path)
        answers = self._answers.setdefault(name, {})
        former = answers.get(path)
        before = [*former.before, former.after] if former else []
        answers[path] = _Answer([*before, shown], after, self._time.now() + _BELIEVED)

    def _repeated(self, name: Name, change: Change, attempts: _Attempts) -> None:
        """Let an object rest that another program changes back each time, or both would write without end."""
        now, digest = self._time.now(), change.digest
        again = attempts.digest == digest and now - attempts.at < _AGAIN
        attempts.times = attempts.times + 1 if again else 0
        attempts.digest, attempts.at = digest, now
        self.problems.pop(change.object, None)
        if attempts.times:
            self._rest(name, attempts, now)
            if attempts.times > 1:
                what = _named(change.object)
                why = f"{what} is changed back by another program each time; stop that."
                self._note(change.object, Problem(Reason.CHANGED_BY_OTHER, what, why))

    def _failed(self, name: Name, change: Change, attempts: _Attempts, *, why: str) -> None:
        now = self._time.now()
        attempts.times, attempts.at = attempts.times + 1, now
        self._rest(name, attempts, now)
        self._failures.setdefault(name, set()).add(change.object)
        what = _named(change.object)
        self._note(change.object, Problem(Reason.WRITE_FAILED, what, f"{what} cannot be written: {why}."))
        # what was believed may be why
        self._answers.pop(name, None)

    def _rest(self, name: Name, attempts: _Attempts, now: float) -> None:
        attempts.rests_until = now + min(2.0 ** min(attempts.times, _DOUBLINGS), _LONGEST)
        self._look_again(name, attempts.rests_until)

    def _look_again(self, name: Name, at: float) -> None:
        self._resting[name] = min(self._resting.get(name, float("inf")), at)

    def _rests(self, name: Name, change: Change) -> bool:
        attempts = self._attempts.get(change.path)
        if attempts is None or attempts.rests_until <= self._time.now():
            return False
        self._look_again(name, attempts.rests_until)
        return True

    def _note(self, path: str, why: Problem) -> None:
        if path in self.problems or len(self.problems) < _NAMED:
            if self.problems.get(path) != why:
                _log.warning("%s", why)
            self.problems[path] = why


def _named(path: str) -> str:
    """Name an object as people do: `Service shop/web`."""
    *_, kind, name = path.split("/")
    namespace = path.partition("/namespaces/")[2].partition("/")[0]
    return f"{_KINDS.get(kind, kind)} {namespace}/{name}" if namespace else f"{_KINDS.get(kind, kind)} {name}"
