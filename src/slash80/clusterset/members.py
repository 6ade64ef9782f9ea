"""What is known of the other members, whatever happens to those who ask them: pure, the clock is the caller's.

What asks a member begins again when the member's entry changes, and ends when the file is gone; what the member has
exported is remembered here meanwhile. No answer is not the answer "nothing".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from slash80.clusterset.records import Export, Name
from slash80.clusterset.silence import Contact
from slash80.settings.clusterset import Member


class Admitted(NamedTuple):
    """All that a member exports, as far as it was admitted, and the entry of the file by which that was."""

    member: Member
    exports: Mapping[Name, Export]


class Asked(Protocol):
    """What asks one member."""

    @property
    def admitted(self) -> Admitted | None:
        """What it exports; None if it has never answered in full."""

    @property
    def answered(self) -> float | None:
        """When it answered last, in seconds of the clock; None if it never did."""


@dataclass(frozen=True, slots=True)
class Known:
    """A member: within which bounds it was believed, when it was asked and answered, and what it exports.

    `complete` is false until it has said all of it to this process; then `exports` are of before, if anything.
    """

    member: Member
    contact: Contact
    exports: Mapping[Name, Export] = field(default_factory=dict)
    complete: bool = False


class Members:
    """Those that the file lists, for one thread."""

    def __init__(self, before: Mapping[str, float]) -> None:
        """Begin with none; `before` has when each answered a predecessor of this process."""
        self._before = dict(before)
        self.known: Mapping[str, Known] = {}

    def update(self, listed: Collection[Member], asked: Mapping[str, Asked], now: float) -> None:
        """Take note of what those who ask know by now; a member that is not listed any more is forgotten."""
        self.known = {one.id: self._updated(one, asked.get(one.id), now) for one in listed}

    @property
    def exports(self) -> dict[str, Mapping[Name, Export]]:
        """What each of them exports."""
        return {name: one.exports for name, one in self.known.items()}

    @property
    def contacts(self) -> dict[str, Contact]:
        """When each was asked and answered."""
        return {name: one.contact for name, one in self.known.items()}

    @property
    def unknown(self) -> frozenset[str]:
        """Of whom it is not known what they export: what an earlier process has imported may still be right."""
        return frozenset(name for name, one in self.known.items() if not one.complete)

    def _updated(self, member: Member, asked: Asked | None, now: float) -> Known:
        former = self.known.get(member.id) or Known(member, Contact(now, before=self._before.get(member.id)))
        if _bounds(former.member) != _bounds(member):
            former = Known(member, former.contact)
        if asked is None:
            return replace(former, member=member)
        answers = [one for one in (former.contact.answered, asked.answered) if one is not None]
        contact = replace(former.contact, answered=max(answers, default=None))
        admitted = asked.admitted
        if admitted and _bounds(admitted.member) == _bounds(member):
            return Known(member, contact, admitted.exports, complete=True)
        return replace(former, member=member, contact=contact)


def _bounds(member: Member) -> tuple[object, ...]:
    return member.prefixes, member.namespaces, member.since
