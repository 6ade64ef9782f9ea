"""Verdicts of pods to come, in memory that processes share."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.attachment import Pod
from slash80.host import expected_verdicts
from slash80.host.expected_verdicts import ExpectedVerdicts, Verdicts

WEB, DB = Pod("shop", "web-0", "one"), Pod("shop", "db-0", "two")
OF_WEB = Verdicts("accept", "accept", "i4-0123", "i6-4567")
OF_DB = Verdicts("e4-0123", "", "closed", "i6-89ab")
names = st.text(max_size=20)
pods = st.builds(Pod, names, names, names)
verdicts = st.builds(Verdicts, *[st.sampled_from(["", "accept", "e4-0123456789abcdef"])] * 4)


def test_each_pod_has_its_own() -> None:
    """Those that were not written, or were before, have none; how many were used is counted."""
    expected = ExpectedVerdicts()
    assert expected.use(WEB) is None
    expected.write([(WEB, OF_WEB), (DB, OF_DB)])
    assert (OF_WEB, OF_DB) == (expected.use(WEB), expected.use(DB))
    expected.write([(DB, OF_WEB)])
    assert (None, OF_WEB) == (expected.use(WEB), expected.use(DB))
    assert expected.used == 3
    expected.clear()
    assert expected.use(DB) is None
    assert expected.used == 3


@pytest.mark.parametrize("other", [Pod("shop", "web-0", "two"), Pod("shop", "web-0"), Pod("other", "web-0", "one")])
def test_a_pod_is_known_by_namespace_name_and_uid(other: Pod) -> None:
    """A pod that was made again has the name of the one before, and a Pod's author can write its UID."""
    expected = ExpectedVerdicts()
    expected.write([(WEB, OF_WEB)])
    assert expected.use(other) is None


def test_a_pod_without_uid_is_not_known() -> None:
    """Not even if the API has one: by its name alone it may be another one."""
    expected = ExpectedVerdicts()
    expected.write([(Pod("shop", "web-0"), OF_WEB)])
    assert expected.use(Pod("shop", "web-0")) is None


def test_nothing_is_used_after_a_change_until_it_was_looked_at() -> None:
    """A change that comes while one looks is another one."""
    expected = ExpectedVerdicts()
    expected.write([(WEB, OF_WEB)])
    expected.outdated()
    assert expected.use(WEB) is None
    assert expected.is_outdated
    expected.begin()
    assert expected.use(WEB) is None
    expected.write([(WEB, OF_WEB)])
    assert expected.use(WEB) == OF_WEB

    expected.outdated()
    expected.begin()
    expected.outdated()
    expected.write([(WEB, OF_WEB)])
    assert expected.use(WEB) is None


def test_processes_that_are_forked_later_have_the_same() -> None:
    """What the one writes the other reads, and what the other has used is counted."""
    expected = ExpectedVerdicts()
    child = os.fork()
    if not child:
        expected.write([(WEB, OF_WEB)])
        os._exit(0)
    os.waitpid(child, 0)
    assert expected.use(WEB) == OF_WEB
    child = os.fork()
    if not child:
        os._exit(int(expected.use(WEB) != OF_WEB))
    assert os.waitpid(child, 0)[1] == 0
    assert expected.used == 2


def test_those_for_which_there_is_no_room_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are, whole."""
    monkeypatch.setattr(expected_verdicts, "_SIZE", 4096)
    expected = ExpectedVerdicts()
    many = [Pod("shop", f"web-{number}", "uid") for number in range(100)]
    expected.write((one, OF_WEB) for one in many)
    found = [expected.use(one) for one in many]
    assert [OF_WEB] * found.index(None) == found[: found.index(None)]
    assert {None} == {*found[found.index(None) :]}
    assert found.index(None) > 40


def test_a_node_full_of_pods_has_room() -> None:
    """A controller says of 512 Pods at most, and a chain's name has 20 characters."""
    expected = ExpectedVerdicts()
    longest = Verdicts(*("e4-0123456789abcdefff",) * 4)
    many = [Pod("n" * 63, f"{number:0253}", "u" * 36) for number in range(512)]
    expected.write((one, longest) for one in many)
    assert expected.use(many[-1]) == longest


def test_a_uid_that_is_no_text_costs_no_other_pod() -> None:
    """JSON can say half of a pair of surrogates, and a runtime's variables any byte."""
    expected, half, byte = ExpectedVerdicts(), Pod("shop", "half", "\ud800"), Pod("shop", "byte", "\udcff")
    expected.write([(half, OF_DB), (byte, OF_DB), (WEB, OF_WEB)])
    assert (OF_DB, OF_DB, OF_WEB) == (expected.use(half), expected.use(byte), expected.use(WEB))


@given(st.dictionaries(pods, verdicts, max_size=20), pods)
def test_no_text_stands_for_another_pod(said: dict[Pod, Verdicts], other: Pod) -> None:
    """Whatever is written as a UID, such as lines of other pods."""
    expected = ExpectedVerdicts()
    forged = Pod(other.namespace, other.name, f"x\n{other.uid} accept accept accept accept\n")
    expected.write([*said.items(), (forged, Verdicts(*("accept",) * 4))])
    for pod in {*said, other} - {forged}:
        assert (said.get(pod) if pod.uid else None) == expected.use(pod)
