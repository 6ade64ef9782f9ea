"""The clusterset's file as agents follow it: a mistake in it changes nothing, also over a restart."""

from pathlib import Path

from lab import members
from slash80.agent.reconcilers.clusterset import ClustersetFile
from slash80.desired.problems import Problem, Reason
from slash80.settings.clusterset import KEY, Clusterset

GOOD = members.text(members.entry(0), members.entry(1))
BETTER = members.text(members.entry(0), members.entry(2))


def _ids(found: list[Clusterset]) -> list[list[str]]:
    return [[one.id for one in clusterset.members] for clusterset in found]


def _used(file: ClustersetFile, text: str) -> list[Clusterset]:
    """Have the file used as the part `node` does; return the candidates."""
    found = file.candidates((text,), [])
    file.keep(found[0])
    return found


def test_without_a_config_map_there_is_no_clusterset(tmp_path: Path) -> None:
    """Nothing is reported and nothing is written."""
    problems: list[Problem] = []
    for listed in (None, ()):
        assert [] == ClustersetFile(tmp_path / "kept").candidates(listed, problems)
    assert [] == problems
    assert not (tmp_path / "kept").exists()


def test_the_last_good_file_comes_after_the_one_of_now(tmp_path: Path) -> None:
    """The one of now may contradict the cluster, which is judged later."""
    file = ClustersetFile(tmp_path)
    assert [["c0", "c1"]] == _ids(_used(file, GOOD))
    assert [["c0", "c2"], ["c0", "c1"]] == _ids(file.candidates((BETTER,), []))


def test_a_text_is_read_once(tmp_path: Path) -> None:
    """The part looks every ten seconds, and a large file takes a while to read."""
    file = ClustersetFile(tmp_path)
    assert file.candidates((GOOD,), [])[0] is file.candidates((GOOD,), [])[0]


def test_a_wrong_file_leaves_the_last_good_one(tmp_path: Path) -> None:
    """Also one that a process before has used; the sentence names the entry and what stays in force."""
    _used(ClustersetFile(tmp_path), GOOD)
    problems: list[Problem] = []
    wrong = members.text(members.entry(0), members.entry(1, prefixes=["::/0"]))
    assert [["c0", "c1"]] == _ids(ClustersetFile(tmp_path).candidates((wrong,), problems))
    (problem,) = problems
    assert Reason.CLUSTERSET_INVALID == problem.reason
    assert all(word in problem.message for word in ("'c1'", "prefixes", "::/0", "the last good file stays in force"))


def test_a_config_map_without_the_key_is_a_wrong_file(tmp_path: Path) -> None:
    """To delete the ConfigMap is what ends all trust, and not to rename its key."""
    file, problems = ClustersetFile(tmp_path), list[Problem]()
    assert [] == file.candidates((None,), problems)
    assert "no earlier one is known" in problems[0].message
    _used(file, GOOD)
    assert [["c0", "c1"]] == _ids(file.candidates((None,), problems))


def test_while_the_api_is_silent_the_last_good_file_counts(tmp_path: Path) -> None:
    """After a restart or a boot, until it is known whether the ConfigMap is still there."""
    _used(ClustersetFile(tmp_path), GOOD)
    assert [["c0", "c1"]] == _ids(ClustersetFile(tmp_path).candidates(None, []))


def test_a_deleted_config_map_is_forgotten(tmp_path: Path) -> None:
    """It does not come back with the next start that cannot ask the API."""
    file = ClustersetFile(tmp_path)
    _used(file, GOOD)
    assert [] == file.candidates((), [])
    assert [] == ClustersetFile(tmp_path).candidates(None, [])
    assert not (tmp_path / KEY).exists()


def test_a_kept_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    """The file of now is used all the same, and replaces it."""
    (tmp_path / KEY).write_bytes(b"\xff")
    file, problems = ClustersetFile(tmp_path), list[Problem]()
    assert [["c0", "c1"]] == _ids(file.candidates((GOOD,), problems))
    assert [Reason.CLUSTERSET_NOT_KEPT] == [one.reason for one in problems]
    _used(file, GOOD)
    assert GOOD == (tmp_path / KEY).read_text()


def test_a_kept_file_that_cannot_be_deleted_is_named(tmp_path: Path) -> None:
    """Or trust that was taken back would return with the next start that cannot ask the API."""
    (tmp_path / KEY).mkdir()
    problems: list[Problem] = []
    ClustersetFile(tmp_path).candidates((), problems)
    assert [Reason.CLUSTERSET_NOT_KEPT] == [one.reason for one in problems]
