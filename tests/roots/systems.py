"""The roots that the tests make: bare ones, one full of traps, and small Debians."""

import hashlib
import inspect
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from kind import debian
from lab import programs
from roots.root import Root

TRAPPED = 66  # exit code of whatever loads a library of the node
_TRAP = """
__attribute__((constructor)) static void trap(void)
{
    __asm__ volatile("syscall" : : "a"(231), "D"(66L) : "rcx", "r11", "memory");
}
"""
_FOLDERS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib", "usr/lib", "lib64")
_DATABASES = ("passwd", "group", "hosts", "networks", "protocols", "services", "ethers", "rpc")
RELEASES = {"debian-11": "bullseye", "debian-13": "trixie"}


def busybox(folder: Path) -> Root:
    """Make a root with one static program, /proc and /dev/null."""
    root = Root(folder)
    (root.path / "bin").mkdir()
    shutil.copy("/bin/busybox", root.path / "bin")
    return root


def bare(folder: Path) -> Root:
    """Make one without /etc, /tmp and /dev, that cannot be written to."""
    return Root(folder, options=frozenset({"proc", "read-only"}))


def foreign(folder: Path) -> Root:
    """Make one where every library ends who loads it: to be loaded first, to look names up, and by all our names."""
    root = busybox(folder)
    (folder / "trap.c").write_text(_TRAP)
    trap = root.path / "trap.so"
    programs.run(["gcc", "-shared", "-fPIC", "-nostdlib", "-o", trap, folder / "trap.c"])
    (root.path / "etc").mkdir()
    (root.path / "etc/ld.so.preload").write_text("/trap.so\n")
    (root.path / "etc/nsswitch.conf").write_text("".join(f"{name}: trap files\n" for name in _DATABASES))
    (root.path / "etc/hosts").write_text("127.0.0.1 api.example\n")
    plugin = Path(os.environ["SLASH80_ROOT"], "opt/cni/bin/.slash80/engine").resolve().parent
    names = [path.name for path in (plugin / "libexec").iterdir() if ".so" in path.name]
    for where in _FOLDERS:
        (root.path / where).mkdir(parents=True, exist_ok=True)
        for name in (*names, "libnss_trap.so.2", "libnss_files.so.2", "libnss_dns.so.2"):
            shutil.copy(trap, root.path / where / name)
    return root


def of_debian(release: str, folder: Path, *, without: Sequence[str] = ()) -> Root:
    """Make a small Debian that has nftables, but for the files in `without`."""
    words = [f"--exclude=./{name}" for name in without]
    root = Root(folder)
    programs.run(["tar", "-C", root.path, "-xf", _archive(release), "--exclude=./dev/*", *words])
    return root


def _archive(release: str) -> Path:
    """Return the archive of it, made if it is not there yet."""
    made_by = "".join(map(inspect.getsource, (debian, sys.modules[__name__])))
    cache = Path(os.environ["SLASH80_CACHE"])
    path = cache / f"root-{release}-{hashlib.sha256(made_by.encode()).hexdigest()[:12]}.tar"
    if not path.exists():
        new = cache / f"root-{release}.{os.getpid()}.tar"
        debian.bootstrap(new, ["nftables"], release=release, variant="essential")
        for old in cache.glob(f"root-{release}-*.tar"):
            old.unlink()
        new.replace(path)
    return path


def _debian_without_nft(release: str) -> Callable[[Path], Root]:
    return lambda folder: of_debian(release, folder, without=("usr/sbin/nft",))


SYSTEMS: dict[str, Callable[[Path], Root]] = {
    "busybox": busybox,
    "bare": bare,
    "foreign": foreign,
    **{name: _debian_without_nft(release) for name, release in RELEASES.items()},
}
