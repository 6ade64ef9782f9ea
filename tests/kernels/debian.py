"""A kernel of Debian's for clouds, from the package archive that this machine's apt uses: fetched and verified by apt.

It is kept under the cache by its version: the kernel itself, and a first initramfs of busybox and the modules that a
network node needs.
"""

from __future__ import annotations

import hashlib
import inspect
import lzma
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kernels.archive import pack
from lab.programs import run

RELEASES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie"}
_PACKAGE = "linux-image-cloud-amd64"
_MODULES = (  # of those in the package, below lib/modules/VERSION/kernel
    *(f"net/{name}" for name in ("802", "8021q", "bridge", "core", "ipv4", "ipv6", "llc", "netfilter", "packet")),
    *("net/sched", "net/unix", "net/xfrm", "arch/x86/crypto", "crypto", "lib", "drivers/net/veth.ko*"),
)
_MERGED = ("bin", "lib", "lib64", "sbin")  # links into /usr, as Debian has them
_BUSYBOX = Path("/usr/bin/busybox")


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be booted, and the version of its package."""

    version: str
    image: Path
    initramfs: Path


def ensure(series: str, cache: Path) -> Kernel:
    """Return the kernel of a series, fetched when it is not in the cache; the archive is asked only then."""
    release = RELEASES[series]
    key = hashlib.sha256(inspect.getsource(sys.modules[__name__]).encode()).hexdigest()[:8]
    found = sorted(cache.glob(f"kernel-{release}-{key}-*"))
    if not found:
        for old in cache.glob(f"kernel-{release}-*"):
            shutil.rmtree(old)
        found = [_make(release, cache, f"kernel-{release}-{key}")]
    folder = found[-1]
    return Kernel(folder.name.rpartition(f"{key}-")[2], folder / "vmlinuz", folder / "initramfs")


def _make(release: str, cache: Path, name: str) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="kernel.") as text:
        work = Path(text)
        package, version = _fetch(release, work)
        run(["dpkg-deb", "--extract", package, work / "root"])
        new = work / "new"
        new.mkdir()
        shutil.move(next(work.glob("root/boot/vmlinuz-*")), new / "vmlinuz")
        with (new / "initramfs").open("wb") as archive:
            pack(_first_initramfs(work), ["."], archive.fileno())
        return new.rename(cache / f"{name}-{version}")


def _fetch(release: str, work: Path) -> tuple[Path, str]:
    """Download the newest kernel of a release, and return its file and version."""
    with _apt(release, work) as options:
        run(["apt-get", *options, "update"])
        newest = run(["apt-cache", *options, "show", "--no-all-versions", _PACKAGE])
        found = re.search(r"^Depends: (linux-image-\S+) \(= (\S+)\)", newest, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"{_PACKAGE} of Debian {release} does not name one kernel: {newest}")
        run(["env", f"--chdir={work}", "apt-get", *options, "download", f"{found[1]}={found[2]}"])
    return next(work.glob("*.deb")), found[2]


@contextmanager
def _apt(release: str, work: Path) -> Iterator[list[str]]:
    """Have an apt of its own, which knows one release and no installed package; it trusts what the machine's trusts."""
    state, sources = work / "apt", work / "sources.list"
    (state / "lists/partial").mkdir(parents=True)
    archive, security = _archives()
    sources.write_text(f"deb {archive} {release} main\ndeb {security} {release}-security main\n")
    settings = {
        "Dir::State": state,
        "Dir::State::status": "/dev/null",
        "Dir::Cache": state,
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "APT::Sandbox::User": "root",  # who else could not write here
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "Acquire::Languages": "none",
    }
    yield [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def _archives() -> tuple[str, str]:
    """Return where this machine gets Debian's packages and their security updates from."""
    targets = run(["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"])
    known = dict(reversed([line.split(" ", 1) for line in targets.splitlines()]))  # of several the first counts
    try:
        return known["Debian"], known["Debian-Security"]
    except KeyError as error:
        raise RuntimeError(f"apt knows no archive labelled {error}; run apt-get update on a Debian machine") from error


def _first_initramfs(work: Path) -> Path:
    """Lay out busybox and the modules, uncompressed, with the index by which the kernel's requests are answered."""
    top = work / "initramfs"
    (top / "busybox").mkdir(parents=True)
    shutil.copy(_BUSYBOX, top / "busybox/busybox")
    for name in _MERGED:
        (top / "usr" / name).mkdir(parents=True)
        (top / name).symlink_to(f"usr/{name}")
    (everything,) = [path for path in work.glob("root/**/lib/modules/*") if path.is_dir()]
    kept = top / "usr/lib/modules" / everything.name
    kept.mkdir(parents=True)
    for path in everything.glob("modules.*"):
        shutil.copy(path, kept)
    for path in sorted({found for pattern in _MODULES for found in _files(everything / "kernel", pattern)}):
        target = kept / path.relative_to(everything).with_name(path.name.removesuffix(".xz"))
        target.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        target.write_bytes(lzma.decompress(data) if path.suffix == ".xz" else data)
    run(["depmod", "--basedir", top, everything.name])
    return top


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    for found in folder.glob(pattern):
        yield from ([found] if found.is_file() else found.rglob("*.ko*"))
