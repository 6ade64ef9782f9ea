"""Whether this cluster is a member, and of what: by the file of now, or the last one that could be used.

A mistake in the file changes nothing. A file that is gone, or does not list this cluster any more, ends trust at once;
but what is imported must not end by such an accident, so the last membership is remembered for as long as silent
members are. Its file is kept in the state, where a restarted program finds it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from slash80.addressing.family import Prefix
from slash80.clusterset.problems import Reason
from slash80.clusterset.silence import GONE
from slash80.errors import CniError
from slash80.settings.clusterset import KEY, NAME, Clusterset, Member, parse, refuse_overlaps

_WHERE = f"{KEY} of ConfigMap {NAME}"
_NO_FILE = f"there is no ConfigMap {NAME}; make one by slash80 clusterset apply"
_UNLISTED = f"no entry of {_WHERE} has this cluster's certificate; add one by slash80 clusterset add"


@dataclass(frozen=True, slots=True)
class Standing:
    """The clusterset, and this cluster's entry in it, which is None where it is not a member.

    `active` is false while the membership is only remembered: then there is no exchange. `known` is false where the
    file cannot be understood and no earlier one is known: then nothing may be concluded. `kept` is for the state,
    `reason` why there is a problem.
    """

    clusterset: Clusterset | None = None
    own: Member | None = None
    active: bool = False
    known: bool = True
    problem: str = ""
    kept: str = ""
    reason: Reason | None = None

    @property
    def others(self) -> tuple[Member, ...]:
        """The other members, while this cluster is one."""
        return self.clusterset.others(self.own.id) if self.clusterset and self.own else ()


@dataclass(frozen=True, slots=True)
class _File:
    text: str
    clusterset: Clusterset
    own: Member | None


class Membership:
    """Follows the file, for one thread; moments are seconds of one clock."""

    def __init__(self, certificate: bytes, kept: str = "", member_id: str = "") -> None:
        """Begin with the text of the file by which this cluster was a member last, and with its id there, if it was.

        The id says who it was when its key is a new one, which that file does not list.
        """
        self._certificate, self._unlisted_since = certificate, float("inf")
        self._problem = ""
        self._good: _File | None = None
        self._good = self._parsed(kept, ()) if kept else None
        own = self._good and (self._good.own or self._good.clusterset.member(member_id))
        self._joined = replace(self._good, own=own) if self._good and own else None

    def read(self, listed: Mapping[str, str] | None, now: float, services: Collection[Prefix] = ()) -> Standing:
        """Return how this cluster stands by the data of the ConfigMap, or by None where there is no ConfigMap.

        No member may have addresses among those of this cluster's Services.
        """
        if listed is None:
            self._good = None
            return self._remembered(_NO_FILE, Reason.CLUSTERSET_MISSING, now)
        self._take(listed.get(KEY, ""), services)
        if self._good is None:
            return Standing(problem=self._problem, known=False, reason=Reason.CLUSTERSET_INVALID)
        invalid = Reason.CLUSTERSET_INVALID if self._problem else None
        if self._good.own is None:
            return self._remembered(self._problem or _UNLISTED, invalid or Reason.CLUSTER_NOT_LISTED, now)
        self._joined, self._unlisted_since = self._good, float("inf")
        return self._standing(self._good, self._problem, invalid, active=True)

    def _take(self, text: str, services: Collection[Prefix]) -> None:
        """Have this text in force if it can be."""
        self._problem = ""
        if taken := self._parsed(text, services):
            self._good = taken
        elif self._good:
            same = self._good.text == text  # Services have come to have addresses that were a member's before
            stays = "it stays in force, but no endpoint with such an address is imported"
            self._problem += f"; {stays if same else 'the last good file stays in force'}"

    def _parsed(self, text: str, services: Collection[Prefix]) -> _File | None:
        """Return what a text says; the same text is read once."""
        try:
            found = self._good.clusterset if self._good and self._good.text == text else parse(text, _WHERE)
            refuse_overlaps(found, services)
        except CniError as error:
            self._problem = error.msg
            return None
        return _File(text, found, found.with_certificate(self._certificate))

    def _remembered(self, problem: str, reason: Reason, now: float) -> Standing:
        self._unlisted_since = min(self._unlisted_since, now)
        if self._joined is None or now - self._unlisted_since >= GONE:
            self._joined = None
            return Standing(problem=problem, reason=reason)
        return self._standing(self._joined, problem, reason, active=False)

    @staticmethod
    def _standing(file: _File, problem: str, reason: Reason | None, *, active: bool) -> Standing:
        return Standing(file.clusterset, file.own, active=active, problem=problem, kept=file.text, reason=reason)
