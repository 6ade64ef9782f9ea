"""The store in memory: for tests of what uses a store, and the plain statement of what the real one must do."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from slash80.addressing.attachment import Assignment, Attachment, Key, State, hashed
from slash80.addressing.choose import Counts, Use
from slash80.addressing.family import Address, Prefix, family_of
from slash80.addressing.openings import NO_OPENINGS
from slash80.addressing.pool import Pool, Range
from slash80.store.api import Register, Reservation, T


class MemoryStore:
    """Attachments and addresses in two dictionaries; `clock` gives the boottime in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start empty, with a fresh secret."""
        self._clock = clock
        self._secret = secrets.token_bytes(16)
        self._attachments: dict[str, Attachment] = {}
        self._uses: dict[Address, Use] = {}
        self._notes: dict[str, tuple[frozenset[Prefix], float]] = {}
        self._lock = threading.Lock()
        self._early = 0

    def get(self, host_ifname: str) -> Attachment | None:
        """Return the attachment with that host end, or None."""
        return self._attachments.get(host_ifname)

    def attachments(self, of: Key | None = None) -> list[Attachment]:
        """Return all attachments, oldest first; or the key's own and those of the same container."""
        every = self._attachments.values()
        wanted = [a for a in every if of is None or of.container == a.key.container]
        return sorted(wanted, key=lambda a: (a.since, a.host_ifname))

    @contextmanager
    def reservation(self, draft: Attachment) -> Iterator[Reservation]:
        """Hold the lock while addresses are chosen for `draft`."""

        def hold(assignment: Assignment) -> Attachment:
            kept = replace(draft, assignment=assignment, since=self._clock())
            self._hold(kept)
            self._early += assignment.early
            return kept

        with self._lock:
            yield Reservation(self, self._secret, self.attachments(draft.key), self._opened, hold)

    def _opened(self) -> list[Attachment]:
        found = [one for one in self.attachments() if one.openings != NO_OPENINGS]
        return [one for one in found if one.state is not State.TERMINATING]

    def keep(self, attachment: Attachment) -> None:
        """Keep an attachment as it is."""
        with self._lock:
            self._hold(attachment)

    def allow_expose(self, changed: Sequence[Attachment]) -> None:
        """Keep of attachments which openings they have."""
        with self._lock:
            for one in changed:
                known = self._attachments.get(one.host_ifname)
                if known and known.since == one.since:
                    self._attachments[one.host_ifname] = replace(known, openings=one.openings)

    def release(self, host_ifname: str, *, rest: bool = True) -> None:
        """Forget an attachment and let its addresses rest."""
        with self._lock:
            self._let_go(host_ifname, rest=rest)

    def held(self, by: Sequence[Attachment]) -> list[Address]:
        """Return the addresses that these attachments hold, less those of attachments created again meanwhile."""
        known = [self._attachments.get(attachment.host_ifname) for attachment in by]
        same = {new.host_ifname for old, new in zip(by, known, strict=True) if new and new.since == old.since}
        return [address for address, use in self._uses.items() if use.holder in same]

    def terminating(self) -> list[Attachment]:
        """Return the attachments that are terminating, oldest first."""
        return [attachment for attachment in self.attachments() if attachment.state is State.TERMINATING]

    def mark_terminating(self, host_ifname: str) -> Attachment | None:
        """Mark an attachment as dying, and return it if it has openings."""
        with self._lock:
            if not (known := self._attachments.get(host_ifname)):
                return None
            marked = self._attachments[host_ifname] = replace(known, state=State.TERMINATING)
            return marked if marked.openings != NO_OPENINGS else None

    def forget(self, dead: Sequence[Attachment]) -> None:
        """Release those that are dying still."""
        with self._lock:
            for attachment in dead:
                known = self._attachments.get(attachment.host_ifname)
                if known and (known.state, known.since) == (State.TERMINATING, attachment.since):
                    self._let_go(attachment.host_ifname, rest=True)

    def _let_go(self, host_ifname: str, *, rest: bool) -> None:
        self._attachments.pop(host_ifname, None)
        for address, use in list(self._uses.items()):
            if use.holder == host_ifname:
                self._uses[address] = Use(None, self._clock() if rest else use.released)
                if not rest and use.released == 0:
                    del self._uses[address]

    def _hold(self, kept: Attachment) -> None:
        self._attachments[kept.host_ifname] = kept
        for address in kept.assignment.addresses:
            released = self._uses[address].released if address in self._uses else 0.0
            self._uses[address] = Use(kept.host_ifname, released)

    def early_reuses(self) -> int:
        """Return how often an address was handed out early."""
        return self._early

    def read(self, question: Callable[[Register], T]) -> T:
        """Ask the ledger."""
        return question(self)

    def use(self, address: Address) -> Use | None:
        """Report whether an address is held or was released."""
        return self._uses.get(address)

    def unused(self, within: Range, without: Sequence[Range] = ()) -> Iterator[Address]:
        """Return the addresses that are not known at all, in order."""
        family = family_of(within.first)
        numbers = (n for part in within.without(without) for n in range(int(part.first), int(part.last) + 1))
        return (a for a in map(family.address, numbers) if a not in self._uses)

    def spent(self, within: Range) -> bool:
        """Report whether every address of the range was used; nothing is remembered here."""
        return next(self.unused(within), None) is None

    def released(self, pool: Pool) -> list[tuple[Address, float]]:
        """Return the released addresses of a pool, longest ago first."""
        resting = [(a, u.released) for a, u in self._uses.items() if u.holder is None and pool.prefix_of(a)]
        return sorted(resting, key=lambda pair: (pair[1], int(pair[0])))

    def note(self, network: str, prefixes: Sequence[Prefix], now: float) -> bool:
        """Remember which prefixes a network has."""
        before = self._notes.get(network)
        self._notes[network] = frozenset(prefixes), now
        return before is None or before[0] != frozenset(prefixes)

    def refresh(self, networks: Collection[str], now: float) -> None:
        """Remember these networks for longer."""
        alive = {name: found for name, found in self._notes.items() if {name, hashed(name)} & set(networks)}
        self._notes |= {name: (prefixes, now) for name, (prefixes, _) in alive.items()}

    def networks(self, now: float) -> dict[str, tuple[Prefix, ...]]:
        """Return the prefixes of the networks that were noted within an hour."""
        return {name: tuple(prefixes) for name, (prefixes, since) in self._notes.items() if now - since <= 3600}

    def holds(self, prefix: Prefix) -> bool:
        """Whether an address of a prefix is held."""
        return any(use.holder is not None and address in prefix for address, use in self._uses.items())

    def counts(self, pool: Pool, since: float) -> Counts:
        """Count what is allocated, and what was released after `since`."""
        inside = [use for address, use in self._uses.items() if not pool.why_not(address)]
        allocated = sum(use.holder is not None for use in inside)
        return Counts(allocated, sum(use.holder is None and use.released > since for use in inside))
