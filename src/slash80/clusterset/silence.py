"""What is to be made of members that do not answer: values, the clock is the caller's.

A member that is silent for 30 seconds is the last resort for its Services; after 15 minutes it counts as gone. A new
process gives each member half a minute to answer it, since until then the one that was away may be itself. Where most
members fall silent at once the fault is more likely this cluster's own: then nothing is changed before the 15 minutes
are over, since there is nothing better to go to, and with many members it would be a flood of writes, twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slash80.clusterset.state import Condition

SILENT, GONE = 30.0, 900.0  # seconds without an answer
# An answer takes up to 20 seconds where nothing has changed. Who is later than that is counted before it is silent, or
# the first of those who were cut off together would be taken for dead alone.
_OVERDUE = 22.0
_MANY = 3  # members: fewer cost little, and one of two can hardly be told from this one


@dataclass(frozen=True, slots=True)
class Contact:
    """When a member was first asked, and when it last answered, in seconds of one clock; None if it never did.

    `before` is when it last answered a predecessor of this process, at the latest when it was first asked.
    """

    asked: float
    answered: float | None = None
    before: float | None = None

    @property
    def last(self) -> float:
        """When it answered last, or from when on it could have."""
        known = self.asked if self.before is None else self.before
        return known if self.answered is None else max(known, self.answered)

    @property
    def heard(self) -> float:
        """When it answered this process last, or from when on it could have.

        What it did before says nothing: this process was away then.
        """
        return max(self.asked, self.last)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it stands with each member; whose endpoints are a last resort; who is gone. `held`: why not more are."""

    conditions: Mapping[str, Condition]
    silent: frozenset[str]
    gone: frozenset[str]
    held: bool


def judge(members: Mapping[str, Contact], now: float) -> Verdict:
    """Judge all members but this one."""
    conditions = {name: _condition(contact, now) for name, contact in members.items()}
    gone = frozenset(name for name, condition in conditions.items() if condition is Condition.GONE)
    ages = {name: now - contact.heard for name, contact in members.items() if name not in gone}
    late = [name for name, age in ages.items() if age > _OVERDUE]
    held = len(late) >= _MANY and 2 * len(late) > len(ages)
    silent = frozenset[str]() if held else frozenset(name for name in late if ages[name] >= SILENT)
    return Verdict(conditions, silent, gone, held)


def _condition(contact: Contact, now: float) -> Condition:
    if _is_gone(contact, now):
        return Condition.GONE
    if contact.answered is None and contact.before is None:
        return Condition.NEVER
    return Condition.SILENT if now - contact.last >= SILENT else Condition.OK


def _is_gone(contact: Contact, now: float) -> bool:
    """Report whether it is gone; it has half a minute to answer this process, whatever it did before."""
    return now - contact.last >= GONE and now - contact.asked >= SILENT
