"""`slash80 install`: this very program and its launcher onto a node, while calls of an older one run.

A running engine goes on importing from its own directory, so each version has one, named by its content, and only the
link to it is replaced, and the launcher. The version before stays until the next install.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

HOME = ".slash80"
_SECONDS = 30.0


class Unfit(Exception):
    """What was laid out does not run on this node."""


def install(chosen: argparse.Namespace) -> int:
    """Install; print what was installed. What was there before stays in force unless all of the new one runs."""
    os.umask(0o022)  # runtimes of other users read it
    try:
        with _alone(chosen.bin_dir / HOME):
            version = _lay_out(_engine(), chosen.launcher or _engine().parent.parent / "slash80", chosen)
    except (OSError, Unfit) as error:
        print(f"slash80 install: {error}; nothing was changed that runs", file=sys.stderr)
        return 1
    print(f"slash80 install: {chosen.bin_dir}/slash80 is version {version}")
    return 0


def _engine() -> Path:
    """Return the directory of the frozen engine that runs this."""
    return Path(sys.executable).resolve().parent


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the directory's lock: an upgrade and a retried one may meet, and both use the same temporary names.

    The kernel frees the lock when its holder is killed (flock(2)).
    """
    home.mkdir(parents=True, exist_ok=True)
    handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _lay_out(engine: Path, launcher: Path, chosen: argparse.Namespace) -> str:
    home: Path = chosen.bin_dir / HOME
    before = _linked(home)
    version = _digest(engine)
    if not (home / version).is_dir():
        new = home / f".new-{os.getpid()}"
        shutil.rmtree(new, ignore_errors=True)  # of a process of that number that was killed
        _copy(engine, new)
        _sync(new)
        new.rename(home / version)
    fresh = home / ".launcher"
    shutil.copy(launcher, fresh)
    fresh.chmod(0o755)
    _sync(fresh)
    for program in (home / version / "engine", fresh):
        _try_out(program, chosen.host_root)
    for name in ("nft", "engine"):  # nft for people only: an engine takes the one beside itself
        link = home / ".link"
        link.unlink(missing_ok=True)
        link.symlink_to(f"{version}/{name}")
        link.rename(home / name)
    fresh.rename(chosen.bin_dir / "slash80")
    _sync(home)
    for old in home.iterdir():
        if old.is_dir() and old.name not in {version, before}:
            shutil.rmtree(old)
    return version


def _copy(engine: Path, target: Path) -> None:
    """Copy content and modes only. SELinux labels are attributes, and an image's files may not be run on a node."""
    for folder, _, names in os.walk(engine):
        place = target / Path(folder).relative_to(engine)
        place.mkdir()
        for name in names:
            shutil.copy(Path(folder, name), place)


def _linked(home: Path) -> str:
    """Return the installed version; empty without one."""
    try:
        return (home / "engine").readlink().parts[0]
    except OSError:
        return ""


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(_files(folder)):
        total.update(f"{path.relative_to(folder)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()[:12]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _sync(path: Path) -> None:
    """Have a file, or all of a directory, on the disk before anything refers to it."""
    for each in [*_files(path), path] if path.is_dir() else [path]:
        handle = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _try_out(program: Path, host_root: Path | None) -> None:
    """Have a program answer VERSION where runtimes run it: the node's kernel and mounts are not the image's."""
    path = f"/{program.relative_to(host_root)}" if host_root else str(program)
    try:
        done = subprocess.run(
            [path],
            input=b'{"cniVersion":"1.0.0"}',
            capture_output=True,
            env={"CNI_COMMAND": "VERSION", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            timeout=_SECONDS,
            check=False,
            preexec_fn=partial(_enter, host_root) if host_root else None,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unfit(f"{program} does not run on this node: {error}") from error
    words = (done.stdout.strip() + b" " + done.stderr).decode("utf-8", "replace").strip()
    if done.returncode:
        raise Unfit(f"{program} does not run on this node: code {done.returncode} {words}")
    try:
        good = "supportedVersions" in json.loads(done.stdout)
    except (TypeError, ValueError):
        good = False
    if not good:
        raise Unfit(f"{program} does not answer VERSION on this node: {words[:1000]}")


def _enter(root: Path) -> None:
    """Make it the root of this process, which is to become a program of it; the image has no program that does so."""
    try:
        os.chroot(root)
        os.chdir("/")
    except OSError as error:
        os.write(2, f"{root} cannot be made its root: {error.strerror}; that needs CAP_SYS_CHROOT".encode())
        os._exit(1)
