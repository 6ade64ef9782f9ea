"""What the program knows of its cluster is asked again, and what has changed has it started again."""

from ipaddress import ip_network

import pytest

from slash80.clusterset.cluster_facts import ClusterFacts, Recheck
from slash80.clusterset.lists import Versions

KNOWN = ClusterFacts(Versions("v1beta1"), (4,), (ip_network("10.96.0.0/12"),))
OTHERS = {
    "ClusterProperties come": (
        ClusterFacts(Versions("v1beta1", "v1alpha1"), (4,), KNOWN.services),
        "the version of ClusterProperties changed from unknown to v1alpha1",
    ),
    "a better version comes": (
        ClusterFacts(Versions("v1"), (4,), KNOWN.services),
        "the version of the Multi-Cluster Services API changed from v1beta1 to v1",
    ),
    "a second family comes": (
        ClusterFacts(KNOWN.versions, (4, 6), (*KNOWN.services, ip_network("fd00::/112"))),
        "the IP families of this cluster's Services changed from IPv4 to IPv4, IPv6",
    ),
}


class Rig:
    """A check whose answers are the test's."""

    def __init__(self, *answers: ClusterFacts | Exception) -> None:
        self.answers, self.soon, self.lost = [*answers], 0, list[str]()
        self.check = Recheck(KNOWN, self.answer, soon=self.again, lost=self.lost.append)

    def answer(self) -> ClusterFacts:
        """Return the next answer."""
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def again(self) -> None:
        """Count how often it wants to be called again soon."""
        self.soon += 1


def test_the_same_facts_change_nothing() -> None:
    """Whatever is asked, as often as it is."""
    rig = Rig(KNOWN, KNOWN, KNOWN)
    for _ in range(3):
        rig.check.look()

    assert (0, []) == (rig.soon, rig.lost)


@pytest.mark.parametrize(("other", "words"), OTHERS.values(), ids=OTHERS)
def test_facts_that_have_changed_have_the_program_started_again(other: ClusterFacts, words: str) -> None:
    """A person who applies a CRD, or adds a second family to Services, need not restart anything."""
    rig = Rig(other, other)
    rig.check.look()
    assert (1, []) == (rig.soon, rig.lost)
    rig.check.look()

    assert words in rig.lost[0]


def test_a_single_answer_is_not_enough() -> None:
    """An API server that has just started may not know all of its resources yet."""
    without = ClusterFacts(Versions(""), (4,), KNOWN.services)
    rig = Rig(without, KNOWN, without, KNOWN)
    for _ in range(4):
        rig.check.look()

    assert not rig.lost


def test_a_question_that_fails_leaves_all_as_it_is() -> None:
    """The next answer counts as if there had been no failure between."""
    rig = Rig(OSError("away"), KNOWN)
    with pytest.raises(OSError, match="away"):
        rig.check.look()
    rig.check.look()

    assert (0, []) == (rig.soon, rig.lost)
