"""Our own image, from the Dockerfile that ships, where no registry has the base image that its FROM lines name.

That base is then made with mmdebstrap and given the same name. What this machine needs to reach package archives is
mounted while it builds, and is not part of the image.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import shutil
from pathlib import Path

from kind import debian
from lab import programs

ROOT = Path(__file__).parents[2]
NAME = "ghcr.io/slash80/slash80:dev"
_BASE = "docker.io/library/debian:bookworm-slim"
_CA = Path("/etc/ssl/certs/ca-certificates.crt")
_INPUTS = ("Dockerfile", "LICENSE", "Makefile", "requirements.txt", "tests/tools/python.txt", "cni", "src")


@functools.cache
def ensure(cache: Path) -> Path:
    """Return the image's archive, built if it is not there yet."""
    path = cache / f"image-{_key()}.tar"
    if path.exists():
        return path
    print("building the image", flush=True)
    builder = _Builder(cache / "builder")
    builder.have_base()
    builder.build()
    new = cache / "image.new"
    new.unlink(missing_ok=True)
    builder.podman("save", "--format", "docker-archive", "-o", new, NAME)
    for old in cache.glob("image-*.tar"):
        old.unlink()
    new.replace(path)
    try:
        builder.podman("image", "prune", "-f")
    except programs.ProgramFailed as error:  # as after a build that was killed, which leaves half an image
        print(f"{error}; this image is complete, and without {cache / 'builder'} the next one is built from nothing")
    return path


def _key() -> str:
    """Name all that the image is made of."""
    total = hashlib.sha256()
    for name in _INPUTS:
        for path in sorted({ROOT / name, *(ROOT / name).rglob("*")}):
            if path.is_file() and "__pycache__" not in path.parts:
                total.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return total.hexdigest()[:12]


class _Builder:
    """podman with a storage of its own, and without containers: it builds in a changed root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def podman(self, *words: str | Path) -> None:
        storage: list[str | Path] = ["--root", self._folder / "storage", "--runroot", self._folder / "run"]
        storage += ["--storage-driver", "overlay"]
        programs.run(["podman", *storage, "--cgroup-manager", "cgroupfs", *words])

    def have_base(self) -> None:
        """Have a small Debian under the name of the base image."""
        made_by = hashlib.sha256(inspect.getsource(debian).encode()).hexdigest()[:12]
        packed = self._folder / f"base-{made_by}.tar"
        if packed.exists():
            return
        for old in self._folder.glob("base*.tar"):
            old.unlink()
        new = self._folder / "base.new.tar"
        debian.bootstrap(new)
        self.podman("import", "-q", new, _BASE)
        new.replace(packed)

    def build(self) -> None:
        """Build the Dockerfile; the machine's authority is where pip looks for one, for as long as it builds."""
        pip = self._folder / "pip.conf"
        shutil.copy(_CA, self._folder / "ca.crt")
        machine = Path("/etc/pip.conf").read_text() if Path("/etc/pip.conf").exists() else ""
        indexes = re.findall(r"^index-url.*$", machine, re.MULTILINE)
        pip.write_text("\n".join(["[global]", "cert = /run/ca.crt", *indexes, ""]))
        mounts = [f"--volume={pip}:/etc/pip.conf:ro", f"--volume={self._folder / 'ca.crt'}:/run/ca.crt:ro"]
        self.podman("build", "--isolation=chroot", "--network=host", "--pull=never", *mounts, "-t", NAME, ROOT)
