"""Images of containers as docker-archive tars of one layer, from files: no builder, no registry."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

_FOLDERS = ("dev", "etc", "proc", "run", "sys", "tmp", "var")
_PASSWD = b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its names, its files and symbolic links by their absolute paths, and what it runs."""

    tags: Sequence[str]
    files: Mapping[str, Path]
    links: Mapping[str, str] = field(default_factory=dict)
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()


def write(image: Image, path: Path) -> None:
    """Write the archive."""
    layer = _layer(image)
    digest = hashlib.sha256(layer).hexdigest()
    settings = {"Env": [_PATH], "Entrypoint": [*image.entrypoint], "Cmd": [*image.command]}
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [*image.tags], "Layers": [f"{digest}/layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        for member, content in (
            (name, config),
            (f"{digest}/layer.tar", layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            _add(archive, member, content, mode=0o644)


def _layer(image: Image) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as layer:
        folders = {PurePosixPath(name) for name in _FOLDERS}
        for target in (*image.files, *image.links):
            folders |= {*PurePosixPath(target.lstrip("/")).parents} - {PurePosixPath()}
        for folder in sorted(folders):
            entry = tarfile.TarInfo(str(folder))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder.name == "tmp" else 0o755
            layer.addfile(entry)
        for target, source in sorted(image.files.items()):
            _add(layer, target.lstrip("/"), source.read_bytes(), mode=0o755)
        for target, leads_to in sorted(image.links.items()):
            entry = tarfile.TarInfo(target.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, leads_to
            layer.addfile(entry)
        _add(layer, "etc/passwd", _PASSWD, mode=0o644)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, *, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
