"""Keeps up to date what one other member exports, in a thread of its own, whatever that member does.

What is known stays in force while the member cannot be asked: what its silence means is not decided here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from slash80.addressing.family import Prefix
from slash80.cluster.clock import Clock, SystemClock
from slash80.cluster.pace import Pace
from slash80.clusterset import tls
from slash80.clusterset.client import Client, Unanswered
from slash80.clusterset.deadlines import Deadlines
from slash80.clusterset.feed import TOGETHER
from slash80.clusterset.identity import Identity
from slash80.clusterset.known import Known, Malformed, Reading
from slash80.clusterset.members import Admitted
from slash80.clusterset.places import Places, Resolve, look_up
from slash80.clusterset.records import Export, Name
from slash80.clusterset.refuse import Admission
from slash80.clusterset.requests import EXPORTS, MEMBERS
from slash80.settings.clusterset import Clusterset, Member

_WAIT = 15  # seconds that the member may wait for a change: after 20 it would count as late
_ANSWER = 60.0  # seconds for an answer beyond that
_RATE = 1 << 20  # bytes of answers a second, over time: more is work for this cluster at no cost for a hostile member
_HINTS = 60.0  # seconds between two questions where others were seen
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Home:
    """What of this cluster bounds what others may export to it: its namespaces, and the ranges of its Services."""

    namespaces: Callable[[], Container[str]]
    services: Collection[Prefix] = ()


@dataclass(frozen=True)
class Surroundings:
    """What all followers of a process have in common.

    `hints` returns addresses where others have seen a member, and `wanted` whether any member is looked for. `changed`
    is called when anything is new, and must only ring a bell.
    """

    identity: Identity
    listed: Callable[[], Clusterset | None]
    home: Home
    changed: Callable[[], None]
    deadlines: Deadlines
    hints: Callable[[str], Sequence[str]] = lambda _: ()
    wanted: Callable[[], bool] = lambda: False
    resolve: Resolve = look_up


class Follower:
    """One member. What others read is replaced, never changed, so any thread may.

    `admitted` is what it exports to namespaces of this cluster, as far as that is believed, and None before a full
    answer; `refused` how much is not, by reason; `examples` sentences about that. `answered` says when the last answer
    was, by the clock. `problem` is why it cannot be asked, and `at` where it was found; `others` is
    where it has seen other members.
    """

    def __init__(
        self, member_id: str, surroundings: Surroundings, clock: Clock[threading.Condition] | None = None
    ) -> None:
        """Begin when started."""
        self.id, self._with, self._clock = member_id, surroundings, clock or SystemClock()
        self.problem, self.at = "", ""
        self.answered: float | None = None
        self.others: Mapping[str, str] = {}
        self.admitted: Admitted | None = None
        self.refused: Mapping[str, int] = {}
        self.examples: tuple[str, ...] = ()
        self._known: Known | None = None  # None also when the next answer has to be full
        self._elsewhere = frozenset[str]()
        self._places, self._pace = Places(), Pace()
        self._member: Member | None = None
        self._client: Client | None = None
        self._hints_due = float("-inf")
        self._bell = threading.Condition()
        self._rung = self._stopped = self._forget = False
        self._thread = threading.Thread(target=self.run, name=f"member {member_id}", daemon=True)

    @property
    def exports(self) -> Mapping[Name, Export]:
        """What was admitted of what it exports."""
        return self.admitted.exports if self.admitted else {}

    @property
    def complete(self) -> bool:
        """Whether a full answer was ever received."""
        return self.admitted is not None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it, also while it waits for an answer."""
        self._stopped = True
        self._break_off()

    def join(self, seconds: float) -> bool:
        """Wait for the thread's end, at most so long; return whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def seen(self, address: str) -> None:
        """Note where the member's own connections come from; one that was given up is tried at once."""
        self._places.seen = address
        if self.problem:
            self._ring()

    def again(self, here: Collection[str]) -> None:
        """Ask for everything again, if records were dropped that are of one of these namespaces."""
        if not self._elsewhere.isdisjoint(here):
            self._forget = True
            self._break_off()

    def run(self) -> None:
        """Follow until stopped, in the calling thread."""
        while not self._stopped:
            began, owed = self._clock.now(), 0.0
            try:
                owed = self._turn() / _RATE
                self._pace.succeeded()
                self._note("")
            except Unanswered as error:
                aborted = self._client is not None and self._client.aborted
                self._hang_up()
                if not aborted:
                    self._pace.failed()
                    self._note(str(error))
            self._rest(began, owed)
        self._hang_up()

    def _turn(self) -> int:
        """Ask once; return how many bytes the answer has."""
        member = self._listed()
        client = self._client or self._connected(member)
        if self._with.wanted() and self._clock.now() >= self._hints_due:
            self._hints_due = self._clock.now() + _HINTS
            self.others = _others(client.document(MEMBERS, _ANSWER), self._with.listed())
        return self._asked(client, member)

    def _asked(self, client: Client, member: Member) -> int:
        """Ask for what is new and take it; return how many bytes that was."""
        before, home, size = self._known, self._with.home, 0

        def lines() -> Iterator[Mapping[str, Any]]:
            nonlocal size
            query = urlencode({"since": before.since, "wait": _WAIT} if before else {})
            for line, length in client.lines(f"{EXPORTS}?{query}", _WAIT + _ANSWER):
                size += length
                yield line

        def admission() -> Admission:
            return Admission(member, home.namespaces, services=home.services)

        received = lines()
        head = next(received, {})
        self._known = None  # an answer that is cut off from here on has changed what the next would be judged by
        try:
            known = Reading(before, head, admission=admission).take(received)
        except Malformed as error:
            raise Unanswered(f"{client.place}: {error}") from error
        self._take(known, Admitted(member, known.exports))
        return size

    def _take(self, known: Known, admitted: Admitted) -> None:
        refused = known.admission.refused
        changed = admitted != self.admitted or refused != self.refused
        self._known, self._elsewhere, self.admitted, self.refused = known, known.elsewhere, admitted, refused
        self.answered, self.examples = self._clock.now(), known.admission.examples
        if changed:
            self._with.changed()

    def _listed(self) -> Member:
        """Return the member as the file has it now; what depends on another entry is forgotten."""
        listed = self._with.listed()
        member = listed.member(self.id) if listed else None
        if member is None:
            raise Unanswered(f"{self.id} is not a member")
        if self._member and member.certificates != self._member.certificates:
            self._hang_up()
        if self._forget or member != self._member:
            self._member, self._forget, self._known, self._elsewhere = member, False, None, frozenset()
        return member

    def _connected(self, member: Member) -> Client:
        context = tls.client_context(self._with.identity, member.certificates)
        problem = f"{self.id} has not been seen, and its entry has no 'at' that leads to it"
        for place, trouble in self._places.tries(member, self._with.hints(self.id), self._with.resolve):
            if self._stopped:
                break
            if trouble:
                problem = trouble
                continue
            self._client = client = Client(place, context, member.certificates)
            try:
                client.connect(self._with.deadlines)
            except Unanswered as error:
                problem = str(error)
                self._hang_up()
            else:
                self._places.found, self.at = place, str(place)
                return client
        raise Unanswered(problem)

    def _hang_up(self) -> None:
        if self._client:
            self._client.close()
        self._client = None

    def _break_off(self) -> None:
        self._ring()
        if client := self._client:
            client.abort()

    def _ring(self) -> None:
        with self._bell:
            self._rung = True
            self._bell.notify_all()

    def _rest(self, began: float, owed: float) -> None:
        now = self._clock.now()
        rest = self._pace.rest(began=began, now=now) if self.problem else began + TOGETHER + owed - now
        with self._bell:
            if not self._rung and rest > 0:
                self._clock.wait(self._bell, rest)
            self._rung = False

    def _note(self, problem: str) -> None:
        news, self.problem = bool(problem) != bool(self.problem), problem
        if news and not self._stopped:
            _log.log(
                logging.WARNING if problem else logging.INFO, "%s: %s", self.id, problem or f"answers at {self.at}"
            )
            self._with.changed()


def _others(document: object, listed: Clusterset | None) -> Mapping[str, str]:
    """Return where listed members were seen, as far as it can be read; anything else would only take memory."""
    found = document.get("members") if isinstance(document, dict) else None
    places = found if isinstance(found, dict) else {}
    told = {member.id: places.get(member.id) for member in (listed.members if listed else ())}
    return {name: address for name, address in told.items() if isinstance(address, str) and len(address) < 64}
