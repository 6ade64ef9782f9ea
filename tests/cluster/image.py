"""An image by itself: the files of its archive, and its programs in containers of podman."""

from __future__ import annotations

import json
import secrets
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from kind import ourimage
from kind.sandbox import Sandbox
from lab import programs

# As little as the DaemonSet gives the agent, and no network.
_CONFINED = ("--network=none", "--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL")


class Contents:
    """What an archive in docker's format holds: the image's configuration, and the files of its layers."""

    def __init__(self, archive: Path) -> None:
        """Read the whole archive."""
        self.files: dict[str, tarfile.TarInfo] = {}
        self._content: dict[str, bytes] = {}
        with tarfile.open(archive) as outer:
            (manifest,) = json.load(_opened(outer, "manifest.json"))
            self.config: dict[str, Any] = json.load(_opened(outer, manifest["Config"]))["config"]
            for name in manifest["Layers"]:
                with tarfile.open(fileobj=_opened(outer, name)) as layer:
                    for member in layer:
                        self.files[f"/{member.name}"] = member
                        if member.isfile():
                            self._content[f"/{member.name}"] = _opened(layer, member).read()

    def read(self, name: str) -> bytes:
        """Return what a file holds."""
        return self._content[name]


def _opened(archive: tarfile.TarFile, name: str | tarfile.TarInfo) -> Any:  # noqa: ANN401 -- tarfile's own
    found = archive.extractfile(name)
    assert found, f"{name} is not a file"
    return found


@contextmanager
def loaded(sandbox: Sandbox, archive: Path) -> Iterator[Podman]:
    """Have podman of a sandbox with our image loaded."""
    podman = Podman(sandbox)
    podman.run("load", "--quiet", "--input", str(archive))
    try:
        yield podman
    finally:
        podman.run("rmi", "--force", ourimage.NAME)


class Podman:
    """podman; a container of the image has no network, no capability and a root that is read-only."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Store where it runs."""
        self._sandbox = sandbox

    def call(self, *words: str, stdin: str = "") -> CompletedProcess[str]:
        """Call it, whatever its exit code."""
        return programs.ended(self._sandbox.entering(["podman", *words]), stdin=stdin)

    def run(self, *words: str) -> str:
        """Call it for what must succeed; return its output."""
        return programs.run(self._sandbox.entering(["podman", *words])).strip()

    def contained(self, *words: str, options: Sequence[str] = (), stdin: str = "") -> CompletedProcess[str]:
        """Run a container of the image to its end, whatever its exit code; the words go to its entry point.

        What it said is read from its log: podman 4.3 ends with nothing printed where a container ends before podman
        has read from its socket, as happens on a busy machine.
        """
        name = f"contained-{secrets.token_hex(4)}"
        kept = (f"--name={name}", "--log-driver=k8s-file")
        try:
            done = self.call("run", "--interactive", *kept, *_CONFINED, *options, ourimage.NAME, *words, stdin=stdin)
            said = self.call("logs", name)
        finally:
            self.call("rm", "--force", name)
        return CompletedProcess(done.args, done.returncode, said.stdout, said.stderr or done.stderr)

    @contextmanager
    def running(self, *words: str, options: Sequence[str]) -> Iterator[str]:
        """Have a container of the image run for the time of the block; yield its name."""
        name = self.run("run", "--detach", *_CONFINED, *options, ourimage.NAME, *words)
        try:
            yield name
        finally:
            self.run("rm", "--force", "--time=0", name)
