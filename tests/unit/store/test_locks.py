"""Locks: bounded waits, gone with their holder, and never on a file that was replaced."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from lab.stopping import is_waited_for
from lab.waiting import wait_until
from slash80.addressing.attachment import Key
from slash80.errors import IoFailure, TryAgain
from slash80.store.locks import Absent, AttachmentLocks, FileLock, unusable

HOLDER = """
import sys, pathlib
from slash80.store.locks import FileLock
with FileLock(pathlib.Path(sys.argv[1])).held(5):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a lock."""
    return tmp_path / "lock"


def _is_free(path: Path) -> bool:
    with FileLock(path).tried() as free:
        return free


def _descriptors_of(path: Path) -> int:
    """Count this process's descriptors of a file; those of other files come and go with other tests' threads."""
    return sum(os.path.realpath(descriptor) == str(path) for descriptor in Path("/proc/self/fd").iterdir())


@contextmanager
def _holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Have another process that holds the lock."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def test_a_lock_excludes_others_and_is_free_afterwards(path: Path) -> None:
    """Within a process too: flock belongs to the open file."""
    with FileLock(path).held(1):
        assert not _is_free(path)

    assert _is_free(path)


def test_a_wait_that_gets_no_thread_is_told(path: Path, mocker: MockerFixture) -> None:
    """As with RLIMIT_NPROC: code 11, and no descriptor is left open."""
    with FileLock(path).held(1):
        mocker.patch("slash80.store.locks.threading.Thread.start", side_effect=RuntimeError("can't start new thread"))
        with pytest.raises(TryAgain, match="no thread can be started"), FileLock(path).held(1):
            pass

        assert 1 == _descriptors_of(path)


def test_waiting_for_a_lock_ends_with_an_error(path: Path) -> None:
    """It is code 11, naming the file and the time."""
    with FileLock(path).held(1), pytest.raises(TryAgain, match=rf"{path} for 0\.02 s"), FileLock(path).held(0.02):
        pass


def test_a_lock_is_free_again_after_somebody_gave_up_waiting(path: Path) -> None:
    """The wait that came too late lets go at once."""
    with FileLock(path).held(1), pytest.raises(TryAgain), FileLock(path).held(0.01):
        pass

    with FileLock(path).held(5):
        assert not _is_free(path)


def test_a_waiting_call_gets_the_lock_when_it_is_free(path: Path) -> None:
    """It waits in the kernel's queue while somebody holds the lock, and wakes as soon as the holder is done."""
    got = threading.Event()

    def wait() -> None:
        with FileLock(path).held(5):
            got.set()

    thread = threading.Thread(target=wait)
    with FileLock(path).held(1):
        thread.start()
        wait_until(lambda: is_waited_for(path))
        assert not got.is_set()
    thread.join()
    assert got.is_set()


def test_a_lock_dies_with_its_holder(path: Path) -> None:
    """However a process ends, the kernel frees its locks."""
    with _holder(path) as process:
        assert not _is_free(path)
        process.kill()
        process.wait()

        assert _is_free(path)


def test_a_replaced_file_locks_nobody_out_and_nobody_in(path: Path) -> None:
    """Who waited for a file that was removed meanwhile takes the one that is there now."""
    got, done = threading.Event(), threading.Event()

    def wait() -> None:
        with FileLock(path).held(5):
            got.set()
            done.wait(5)

    thread = threading.Thread(target=wait)
    with FileLock(path).held(1):
        thread.start()
        wait_until(lambda: is_waited_for(path))
        path.unlink()
    assert got.wait(5)
    assert not _is_free(path)
    done.set()
    thread.join()


def test_a_lock_in_no_directory_is_an_error_of_the_system(path: Path) -> None:
    """The caller knows what it means for the verb."""
    with pytest.raises(IoFailure), FileLock(path / "more").held(1):
        pass


def test_each_attachment_has_its_own_lock(tmp_path: Path) -> None:
    """A call that holds one keeps others from that one only."""
    locks, another = AttachmentLocks(tmp_path, 0.01), AttachmentLocks(tmp_path, 0.01)
    first, *others = [Key(str(n), "eth0").host_ifname for n in range(600)]
    with locks.held(first):
        for name in others:
            with another.tried(name) as free:
                assert free
        with another.tried(first) as free:
            assert not free
        with pytest.raises(TryAgain), another.held(first):
            pass


def test_all_attachments_can_be_locked_at_once(tmp_path: Path) -> None:
    """Whoever holds one keeps from all, and whoever holds all from each."""
    locks, another = AttachmentLocks(tmp_path, 0.01), AttachmentLocks(tmp_path, 0.01)
    name = Key("c0ffee", "eth0").host_ifname
    with locks.held(name), pytest.raises(TryAgain), another.all_held():
        pass
    with locks.all_held(), another.tried(name) as free:
        assert not free
    with another.tried(name) as free:
        assert free


def test_locks_that_are_not_to_be_made(tmp_path: Path) -> None:
    """Nothing is made where nothing is, and what is there is the same lock."""
    locks = AttachmentLocks(tmp_path / "state", 5)
    name = Key("c0ffee", "eth0").host_ifname
    with pytest.raises(Absent), locks.held(name, make=False):
        pass
    assert [] == list(tmp_path.iterdir())
    with locks.held(name):
        pass
    with locks.held(name, make=False), locks.tried(name) as free:
        assert free


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    """Directories are 0700 and files 0600, whatever the process's mask."""
    name = Key("c0ffee", "eth0").host_ifname
    with AttachmentLocks(tmp_path / "state", 1).held(name):
        made = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}

    assert {"state": 0o700, "locks": 0o700, "attachments": 0o600} == made


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever can replace the files could take the locks away."""
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks").chmod(mode)

    with pytest.raises(IoFailure), AttachmentLocks(tmp_path / "locks", 1).held("s80aaaaaaaaaaaa"):
        pass


@pytest.mark.parametrize(
    ("code", "advice"),
    [(errno.EACCES, "set stateDir to"), (errno.EPERM, "set stateDir to"), (errno.ENOSPC, "check the space")],
)
def test_a_directory_that_cannot_be_used_is_told_with_the_next_step(code: int, advice: str) -> None:
    """Where the caller may not, another directory helps, and else room."""
    error = unusable(Path("/run/slash80"), OSError(code, os.strerror(code)))

    assert 5 == error.code
    assert f"/run/slash80: {os.strerror(code)}; {advice}" in error.msg


def test_a_call_finds_its_own_lock_free(tmp_path: Path) -> None:
    """It may look at its own attachment as at any other."""
    name = Key("c0ffee", "eth0").host_ifname
    locks = AttachmentLocks(tmp_path, 1)

    with locks.held(name):
        with locks.tried(name) as free:
            assert free
        with AttachmentLocks(tmp_path, 1).tried(name) as free:
            assert not free
    with AttachmentLocks(tmp_path, 1).tried(name) as free:
        assert free
