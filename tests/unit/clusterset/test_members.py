"""What is remembered of members while those who ask them come and go."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from lab.members import certificate, encoded, member
from slash80.clusterset.members import Admitted, Members
from slash80.clusterset.records import Export, Name
from slash80.settings.clusterset import Member

WEB = Name("shop", "web")
EXPORTS = {WEB: Export(WEB, 1, (6,), ())}


@dataclass
class Asker:
    """What asks a member, of which it admits what the entry `by` allows."""

    exports: dict[Name, Export] = field(default_factory=dict)
    answered: float | None = None
    complete: bool = False
    by: Member = field(default_factory=member)

    @property
    def admitted(self) -> Admitted | None:
        """What it has of the member."""
        return Admitted(self.by, self.exports) if self.complete else None


def answering() -> Asker:
    """Return one that has an answer in full, since second 5."""
    return Asker(EXPORTS, 5, complete=True)


def test_a_member_that_has_not_answered_is_not_known() -> None:
    """It exports nothing that is known, and what is there of it must not be deleted."""
    members = Members({})
    members.update([member()], {"c0": Asker()}, 3)

    assert {"c0"} == members.unknown
    assert {"c0": {}} == members.exports
    assert 3 == members.contacts["c0"].last


def test_a_member_s_full_answer_is_what_it_exports() -> None:
    """Also where it exports nothing, which is an answer."""
    members = Members({})
    members.update([member(0), member(1)], {"c0": answering(), "c1": Asker({}, 5, complete=True, by=member(1))}, 3)

    assert frozenset() == members.unknown
    assert {"c0": EXPORTS, "c1": {}} == members.exports
    assert 5 == members.contacts["c0"].answered


def test_a_half_answer_counts_as_an_answer_and_not_as_exports() -> None:
    """A member that speaks is not silent, while its first answer is still being read."""
    members = Members({})
    members.update([member()], {"c0": Asker(EXPORTS, 5)}, 9)

    assert {"c0": {}} == members.exports
    assert 5 == members.contacts["c0"].answered


@pytest.mark.parametrize("asked", [{}, {"c0": Asker()}], ids=["no one asks", "another one begins to ask"])
def test_exports_are_remembered(asked: dict[str, Asker]) -> None:
    """While the file is gone, or after a change of its certificate, a member exports what it did."""
    members = Members({})
    members.update([member()], {"c0": answering()}, 3)
    members.update([member(certificates=[encoded(certificate(7))])], asked, 10)

    assert {"c0": EXPORTS} == members.exports
    assert frozenset() == members.unknown
    assert 5 == members.contacts["c0"].last


@pytest.mark.parametrize("change", [{"prefixes": ["2001:db8:9::/48"]}, {"namespaces": ["other"]}], ids=str)
def test_exports_within_other_bounds_are_not_remembered(change: dict[str, Any]) -> None:
    """An address or a namespace that was taken from a member is not imported from memory."""
    members = Members({})
    members.update([member()], {"c0": answering()}, 3)
    members.update([member(**change)], {"c0": Asker()}, 10)

    assert {"c0": {}} == members.exports
    assert {"c0"} == members.unknown


def test_what_was_admitted_within_other_bounds_is_left_out_until_it_was_admitted_again() -> None:
    """Who asks goes on with what it has, until the member has said everything once more; that may take its time."""
    members, asker = Members({}), answering()
    members.update([member()], {"c0": asker}, 3)
    narrow = member(namespaces=["shop"])
    for _ in range(2):
        members.update([narrow], {"c0": asker}, 4)
        assert {"c0": {}} == members.exports
        assert {"c0"} == members.unknown

    asker.by = narrow
    members.update([narrow], {"c0": asker}, 5)
    assert {"c0": EXPORTS} == members.exports


def test_an_answer_that_was_under_way_when_the_bounds_changed_is_not_all_that_a_member_exports() -> None:
    """A mistake that was corrected at once would else delete what it left out, though the member still exports it."""
    members, asker = Members({}), answering()
    members.update([member()], {"c0": asker}, 3)
    narrow = member(namespaces=["other"])
    members.update([narrow], {"c0": asker}, 4)
    members.update([member()], {"c0": asker}, 5)
    asker.exports, asker.by = {}, narrow
    members.update([member()], {"c0": asker}, 6)

    assert {"c0": EXPORTS} == members.exports
    assert frozenset() == members.unknown


def test_a_member_that_is_not_listed_is_forgotten() -> None:
    """At once, although it is still asked."""
    members = Members({})
    members.update([member()], {"c0": answering()}, 3)
    members.update([], {"c0": answering()}, 10)

    assert {} == members.exports
    assert {} == members.contacts


def test_a_predecessor_s_last_answer_is_remembered() -> None:
    """A restart does not give a dead member another quarter of an hour."""
    members = Members({"c0": -800.0})
    members.update([member()], {"c0": Asker()}, 3)

    assert -800.0 == members.contacts["c0"].last


def test_an_older_answer_does_not_make_a_member_younger() -> None:
    """Who begins to ask again has no answer yet, and the last one is still what it was."""
    members = Members({})
    members.update([member()], {"c0": answering()}, 3)
    members.update([member()], {"c0": Asker(answered=None)}, 700)

    assert 5 == members.contacts["c0"].last
