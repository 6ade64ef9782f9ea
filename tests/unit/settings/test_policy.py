"""`policy.json`: what it says is believed only where the agent of this boot has written it."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from slash80.settings import policy
from slash80.settings.policy import PolicyFile

ISOLATED, EXPOSING = frozenset({"team-a", "team-b"}), frozenset({"team-b", "team-c"})
SAID = PolicyFile(enforced=True, isolated=ISOLATED, may_expose=EXPOSING)


def document(
    isolated: Iterable[str] = ISOLATED, may_expose: Iterable[str] | None = EXPOSING, *, enforced: bool = True
) -> dict[str, Any]:
    """Return what the agent writes."""
    return policy.document(enforced=enforced, isolated=isolated, may_expose=may_expose)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the file as the agent has written it."""
    found = tmp_path / policy.NAME
    found.write_text(json.dumps(document()))
    found.chmod(0o600)
    return found


def test_what_the_agent_has_written_is_read(path: Path) -> None:
    """Both lists of namespaces are read, also when a newer agent has written further keys."""
    assert policy.read(path.parent) == SAID
    assert policy.may_expose(path.parent) == EXPOSING
    path.write_text(json.dumps(document() | {"later": {}}))
    assert policy.read(path.parent) == SAID


def test_where_labels_do_not_decide_nothing_is_said_of_them(path: Path) -> None:
    """That is no reason to take the rest of the file for unknown."""
    path.write_text(json.dumps(document(may_expose=None)))
    assert policy.read(path.parent) == PolicyFile(enforced=True, isolated=ISOLATED)
    assert policy.may_expose(path.parent) is None


def test_a_file_of_an_agent_without_policies_says_who_may_expose(path: Path) -> None:
    """Whether there are policies it does not say, so a pod of any namespace is closed until the new agent has."""
    older = {key: value for key, value in document().items() if key not in {"enforced", "isolated"}}
    path.write_text(json.dumps(older))
    found = policy.read(path.parent)
    assert found == PolicyFile(enforced=None, isolated=None, may_expose=EXPOSING)
    assert found.isolates("any")


def test_pods_are_isolated_in_the_namespaces_that_are_listed() -> None:
    """In a cluster whose policies are not enforced they are in none, whatever is listed."""
    assert [SAID.isolates(name) for name in ("team-a", "team-c", "")] == [True, False, False]
    assert not PolicyFile(enforced=False, isolated=ISOLATED).isolates("team-a")


def test_without_the_file_nothing_is_known(tmp_path: Path) -> None:
    """A missing file is not the same as one without namespaces."""
    assert policy.read(tmp_path) is None
    assert policy.may_expose(tmp_path) is None


def test_a_file_from_before_the_boot_says_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state directory may lie on a disk, and what the file says may have changed while the node was down."""
    other = path.parent / "boot_id"
    other.write_text("another\n")
    monkeypatch.setattr(policy, "_BOOT_ID", other)
    assert policy.read(path.parent) is None


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_says_nothing(path: Path, mode: int) -> None:
    """Another user could open pods by it, and what was read before its mode changed does not count."""
    assert policy.read(path.parent) == SAID
    path.chmod(mode)
    assert policy.read(path.parent) is None


def test_a_file_of_another_user_says_nothing(path: Path) -> None:
    """A file of another user says nothing, whatever its mode is, also one that was read as root's before."""
    assert policy.read(path.parent) == SAID
    os.chown(path, 12345, 0)
    assert policy.read(path.parent) is None


def test_what_is_not_a_regular_file_says_nothing(path: Path) -> None:
    """A link could lead to a file of another user's choice, a pipe would keep the call waiting."""
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))
    assert policy.read(path.parent) is None
    path.unlink()
    os.mkfifo(path, 0o600)
    assert policy.read(path.parent) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "{}", "{", "[" * 100_000, '"team-a"'),
        *(
            json.dumps(document() | change)
            for change in (
                {"version": 2},
                {"enforced": None},
                {"enforced": "false"},
                {"isolated": "team-a"},
                {"isolated": [1]},
                {"mayExpose": "team-a"},
                {"mayExpose": [["team-a"]]},
                {"mayExpose": {"team-a": 1}},
            )
        ),
        *(json.dumps(dict(list(document().items())[:count])) for count in range(1, 4)),
        json.dumps(document()) + " " * (2 << 20),
    ],
)
def test_a_file_that_cannot_be_understood_says_nothing(path: Path, text: str) -> None:
    """Half-understood it might open what nothing has opened."""
    path.write_text(text)
    assert policy.read(path.parent) is None
    assert policy.may_expose(path.parent) is None


def test_the_file_is_read_once_until_it_changes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ADD pays one look at the file, and the next one after a change sees what it says by then."""
    reads: list[str] = []
    text = policy._text

    def counted(path: str) -> str:
        reads.append(path)
        return text(path)

    monkeypatch.setattr(policy, "_text", counted)
    assert [policy.read(path.parent) for _ in range(3)] == [SAID] * 3
    assert len(reads) == 1

    new = path.with_suffix(".new")
    new.write_text(json.dumps(document(enforced=False, isolated=())))
    new.rename(path)
    assert policy.read(path.parent) == PolicyFile(enforced=False, isolated=frozenset(), may_expose=EXPOSING)


def test_what_cannot_be_read_now_is_read_the_next_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process out of descriptors does not keep pods closed until the file changes."""

    def refuse(_: str) -> str:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as full:
        full.setattr(policy, "_text", refuse)
        assert policy.read(path.parent) is None
    assert policy.read(path.parent) == SAID


def test_the_file_is_never_longer_than_its_readers_take(path: Path) -> None:
    """With as many namespaces as a cluster can have, some may not expose, and all are isolated."""
    names = [f"{number:063}" for number in range(20_000)]
    path.write_text(json.dumps(document(names[:10_000], names), indent=2))
    found = policy.read(path.parent)
    assert found is not None
    assert (len(found.isolated or ()), len(found.may_expose or ())) == (10_000, 10_000)

    path.write_text(json.dumps(document(names, names), indent=2))
    found = policy.read(path.parent)
    assert found is not None
    assert found.isolates("any other")
