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
with FileLock(pathlib.Path(sys.argv[1])).held(100):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a lock."""
    return tmp_path / "lock"


def _is_free(path: Path) -> bool:
    with FileLock(path).tried() as free:
        return free


def _descriptors_of(path: Path) -> int:
    """Count this process's descriptors of a file; those of other files change with other tests' threads."""
    return sum(os.path.realpath(descriptor) == str(path) for descriptor in Path("/proc/self/fd").iterdir())


@contextmanager
def _holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start another process that holds the lock."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def test_lock_excludes_others_until_it_is_released(path: Path) -> None:
    """A lock excludes others within one process too: flock belongs to the open file."""
    with FileLock(path).held(1):
        assert not _is_free(path)

    assert _is_free(path)


def test_lock_wait_without_a_thread_is_code_11(path: Path, mocker: MockerFixture) -> None:
    """If no thread can be started, as with RLIMIT_NPROC, the error is code 11, and no descriptor stays open."""
    with FileLock(path).held(1):
        mocker.patch("slash80.store.locks.threading.Thread.start", side_effect=RuntimeError("can't start new thread"))
        with pytest.raises(TryAgain, match="no thread can be started"), FileLock(path).held(1):
            pass

        assert 1 == _descriptors_of(path)


def test_lock_wait_times_out_with_code_11(path: Path) -> None:
    """The error names the file and the time."""
    with FileLock(path).held(1), pytest.raises(TryAgain, match=rf"{path} for 0\.02 s"), FileLock(path).held(0.02):
        pass


def test_lock_acquired_after_a_timeout_is_released(path: Path) -> None:
    """A wait that gets the lock after its timeout releases it at once."""
    with FileLock(path).held(1), pytest.raises(TryAgain), FileLock(path).held(0.01):
        pass

    with FileLock(path).held(60):
        assert not _is_free(path)


def test_waiting_call_gets_the_lock_on_release(path: Path) -> None:
    """It waits in the kernel's queue while the lock is held, and wakes as soon as it is released."""
    got = threading.Event()

    def wait() -> None:
        with FileLock(path).held(100):
            got.set()

    thread = threading.Thread(target=wait)
    with FileLock(path).held(1):
        thread.start()
        wait_until(lambda: is_waited_for(path))
        assert not got.is_set()
    thread.join()
    assert got.is_set()


def test_lock_is_released_when_its_holder_dies(path: Path) -> None:
    """However a process ends, the kernel releases its locks."""
    with _holder(path) as process:
        assert not _is_free(path)
        process.kill()
        process.wait()

        assert _is_free(path)


def test_lock_follows_a_replaced_file(path: Path) -> None:
    """A call that waited for a removed file locks the file that replaced it."""
    got, done = threading.Event(), threading.Event()

    def wait() -> None:
        with FileLock(path).held(100):
            got.set()
            done.wait(100)

    thread = threading.Thread(target=wait)
    with FileLock(path).held(1):
        thread.start()
        wait_until(lambda: is_waited_for(path))
        path.unlink()
    assert got.wait(100)
    assert not _is_free(path)
    done.set()
    thread.join()


def test_lock_without_a_directory_raises_the_system_error(path: Path) -> None:
    """The caller decides what a missing directory means for its verb."""
    with pytest.raises(IoFailure), FileLock(path / "more").held(1):
        pass


def test_each_attachment_has_its_own_lock(tmp_path: Path) -> None:
    """A call that holds one attachment's lock excludes others from that attachment only."""
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
    """A lock of all excludes every single lock, and every single lock excludes a lock of all."""
    locks, another = AttachmentLocks(tmp_path, 0.01), AttachmentLocks(tmp_path, 0.01)
    name = Key("c0ffee", "eth0").host_ifname
    with locks.held(name), pytest.raises(TryAgain), another.all_held():
        pass
    with locks.all_held(), another.tried(name) as free:
        assert not free
    with another.tried(name) as free:
        assert free


def test_lock_file_is_not_created_by_a_reader(tmp_path: Path) -> None:
    """A lock that must not be created creates nothing, and an existing one is the same lock."""
    locks = AttachmentLocks(tmp_path / "state", 5)
    name = Key("c0ffee", "eth0").host_ifname
    with pytest.raises(Absent), locks.held(name, make=False):
        pass
    assert [] == list(tmp_path.iterdir())
    with locks.held(name):
        pass
    with locks.held(name, make=False), locks.tried(name) as free:
        assert free


def test_lock_files_are_accessible_for_the_owner_only(tmp_path: Path) -> None:
    """Directories are 0700 and files 0600 under any umask."""
    name = Key("c0ffee", "eth0").host_ifname
    with AttachmentLocks(tmp_path / "state", 1).held(name):
        made = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}

    assert {"state": 0o700, "locks": 0o700, "attachments": 0o600} == made


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_state_directory_writable_by_others_is_refused(tmp_path: Path, mode: int) -> None:
    """A user who can replace the files could take the locks away."""
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks").chmod(mode)

    with pytest.raises(IoFailure), AttachmentLocks(tmp_path / "locks", 1).held("s80aaaaaaaaaaaa"):
        pass


@pytest.mark.parametrize(
    ("code", "advice"),
    [(errno.EACCES, "set stateDir to"), (errno.EPERM, "set stateDir to"), (errno.ENOSPC, "check the space")],
)
def test_unusable_state_directory_names_the_next_step(code: int, advice: str) -> None:
    """Without permission another directory helps, otherwise more space."""
    error = unusable(Path("/run/slash80"), OSError(code, os.strerror(code)))

    assert 5 == error.code
    assert f"/run/slash80: {os.strerror(code)}; {advice}" in error.msg


def test_lock_held_by_the_call_itself_is_free_to_it(tmp_path: Path) -> None:
    """A call may look at its own attachment as at any other."""
    name = Key("c0ffee", "eth0").host_ifname
    locks = AttachmentLocks(tmp_path, 1)

    with locks.held(name):
        with locks.tried(name) as free:
            assert free
        with AttachmentLocks(tmp_path, 1).tried(name) as free:
            assert not free
    with AttachmentLocks(tmp_path, 1).tried(name) as free:
        assert free
