"""Notes that launchers left: each is done once, and none for ever."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import pytest

from slash80 import ipc
from slash80.addressing.attachment import Attachment
from slash80.agent.serve.server import Reply
from slash80.agent.serve.spool import Spool
from slash80.errors import TryAgain
from unit.builders import attachment, environ

WRITTEN = 2000.0  # seconds since boot


class Node:
    """Notes what is done, and answers with an error code or with success."""

    def __init__(self, state_dir: Path, code: int = 0, known: Attachment | None = None) -> None:
        self.folder = state_dir / ipc.NOTES
        self.done: list[tuple[Mapping[str, str], bytes]] = []
        self._code = code
        self._notes = Spool(state_dir, handle=self.handle, known=lambda _: known)

    def handle(self, environ: Mapping[str, str], stdin: BinaryIO, reply: Reply, *, sandbox: int | None) -> None:
        """Do a call."""
        assert sandbox is None
        self.done.append((environ, stdin.read()))
        reply(1 if self._code else 0, json.dumps({"code": self._code, "msg": "no"}).encode() if self._code else b"")

    def leave(self, verb: str = "DEL", name: str = f"{WRITTEN * 1e9:.0f}-77") -> Path:
        """Leave a note."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / name
        path.write_bytes(ipc.write(environ(verb), b"{}"))
        return path

    def work_off(self) -> list[str]:
        """Handle the notes, and return those that stay."""
        self._notes.work_off()
        return [path.name for path in self.folder.iterdir()]


def test_missing_notes_directory_means_no_notes(tmp_path: Path) -> None:
    """The directory is created by the launcher that leaves the first note."""
    Spool(tmp_path, handle=Node(tmp_path).handle, known=lambda _: None).work_off()

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("since", [None, WRITTEN - 1])
def test_noted_removal_is_done_and_its_note_deleted(tmp_path: Path, since: float | None) -> None:
    """A noted DEL is done and its note deleted, whether the attachment is known or not."""
    node = Node(tmp_path, known=None if since is None else attachment(since=since))
    node.leave()

    assert [] == node.work_off()
    assert [(environ("DEL"), b"{}")] == node.done


def test_note_older_than_the_attachment_is_dropped(tmp_path: Path) -> None:
    """A note older than the attachment is deleted, and the attachment stays."""
    node = Node(tmp_path, known=attachment(since=WRITTEN + 1))
    node.leave()

    assert ([], []) == (node.work_off(), node.done)


@pytest.mark.parametrize(("code", "stays"), [(5, True), (11, True), (999, True), (4, False), (6, False), (7, False)])
def test_note_that_fails_for_now_stays(tmp_path: Path, code: int, stays: bool) -> None:  # noqa: FBT001
    """A DEL that can be tried again keeps its note; one that is invalid does not."""
    node = Node(tmp_path, code=code)
    path = node.leave()

    assert ([path.name] if stays else []) == node.work_off()


def test_note_stays_while_the_store_is_locked(tmp_path: Path) -> None:
    """While another program has the store locked, the note stays and the agent keeps running."""

    def known(_: str) -> Attachment | None:
        raise TryAgain("locked")

    node = Node(tmp_path)
    path = node.leave()
    Spool(tmp_path, handle=node.handle, known=known).work_off()

    assert ([path], []) == (list(node.folder.iterdir()), node.done)


def test_note_that_is_not_a_removal_is_dropped(tmp_path: Path) -> None:
    """Damaged notes and notes of other verbs are deleted without a call."""
    node = Node(tmp_path)
    node.leave("ADD")
    node.leave(name="1-1").write_bytes(b"damaged")

    assert ([], []) == (node.work_off(), node.done)


def test_half_written_note_is_dropped_after_a_while(tmp_path: Path) -> None:
    """A note that is being written is left alone, until its launcher must have been killed."""
    node = Node(tmp_path)
    node.leave(name=".77")
    old = node.leave(name=".78")
    os.utime(old, (1, 1))

    assert [".77"] == node.work_off()
