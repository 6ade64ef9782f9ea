"""All other members: a follower for each, and what they tell each other about where members are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from slash80.cluster.clock import Clock
from slash80.clusterset.deadlines import Deadlines
from slash80.clusterset.follower import Follower, Home, Surroundings
from slash80.clusterset.identity import Identity
from slash80.settings.clusterset import Clusterset


class Followers:
    """The followers of a process, by the ids of their members."""

    def __init__(
        self,
        identity: Identity,
        listed: Callable[[], Clusterset | None],
        *,
        home: Home,
        changed: Callable[[], None],
        deadlines: Deadlines,
        clock: Clock[threading.Condition] | None = None,
    ) -> None:
        """Follow no one yet; `changed` must only ring a bell."""
        self._identity, self._listed, self._clock = identity, listed, clock
        self._all: dict[str, Follower] = {}
        self._seen: dict[str, str] = {}
        self._with = Surroundings(identity, listed, home, changed, deadlines, hints=self._hints, wanted=self._wanted)

    @property
    def all(self) -> Mapping[str, Follower]:
        """The followers."""
        return self._all

    def follow(self) -> None:
        """Follow exactly those members that are listed now, if this cluster is one of them."""
        listed = self._listed()
        own = listed.with_certificate(self._identity.der) if listed else None
        wanted = {member.id for member in listed.others(own.id)} if listed and own else set()
        before = self._all
        new = {name: Follower(name, self._with, self._clock) for name in wanted if name not in before}
        self._all = {name: one for name, one in before.items() if name in wanted} | new
        self._seen = {name: address for name, address in self._seen.items() if name in wanted}
        for name, one in before.items():
            if name not in wanted:
                one.stop()
        for one in new.values():
            one.start()

    def stop(self) -> None:
        """End all of them."""
        for one in self._all.values():
            one.stop()

    def join(self, seconds: float) -> bool:
        """Wait for the end of each, at most so long; return whether all have ended."""
        ended = [one.join(seconds) for one in self._all.values()]
        return all(ended)

    def seen(self, member: str, address: str) -> None:
        """Note from where a member has connected to this cluster."""
        self._seen[member] = address
        if follower := self._all.get(member):
            follower.seen(address)

    def places(self) -> Mapping[str, str]:
        """Return the addresses where members were last seen."""
        return dict(self._seen)

    def again(self, here: Collection[str]) -> None:
        """Ask again where records of these namespaces were dropped, since they were not here then."""
        for one in self._all.values():
            one.again(here)

    def _wanted(self) -> bool:
        return any(one.problem for one in self._all.values())

    def _hints(self, member: str) -> Sequence[str]:
        told = (one.others.get(member) for name, one in self._all.items() if name != member)
        return [*dict.fromkeys(address for address in told if address)]
