"""Container images without a registry: docker-archive tars of one layer around static binaries.

`pause` is what a pod's sandbox runs, `busybox` the shell and the network tools of a container. Its web page
`/cgi-bin/whoami` answers with the address that the request came from. critest finds the same under the names that it
would pull.
"""

import hashlib
import io
import json
import platform
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from lab import programs

PAUSE = "slash80.invalid/pause:runtime"
BUSYBOX = "slash80.invalid/busybox:runtime"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_ARCHITECTURE = _ARCHITECTURES[platform.machine()]
_E2E, _STAGING = "registry.k8s.io/e2e-test-images", "gcr.io/k8s-staging-cri-tools"
_SERVE = ["/bin/sh", "-c", "echo httpd; exec httpd -f -p 80 -h /www"]
_CRITEST = {
    f"{_E2E}/busybox:1.29-2": ["/bin/sh"],
    f"{_E2E}/httpd:2.4.39-4": _SERVE,
    f"{_E2E}/nginx:1.14-2": _SERVE,
    f"{_STAGING}/hostnet-nginx-{_ARCHITECTURE}:latest": ["/bin/httpd", "-f", "-p", "12003", "-h", "/www"],
}
_WHOAMI = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nprintf '%s\\n' \"from $REMOTE_ADDR\"\n"


def busybox() -> Path:
    """Find the machine's static busybox (Debian: busybox-static)."""
    found = shutil.which("busybox")
    if not found:
        raise RuntimeError("busybox is not installed: apt-get install busybox-static")
    return Path(found)


def compile_pause(directory: Path) -> Path:
    """Compile pause.c into a static executable."""
    out = directory / "pause"
    source = Path(__file__).with_name("pause.c")
    programs.run(["gcc", "-static", "-Os", "-s", "-Wall", "-Wextra", "-o", out, source])
    return out


def www(directory: Path) -> Path:
    """Write the web server's pages."""
    page = directory / "cgi-bin" / "whoami"
    page.parent.mkdir(parents=True)
    page.write_text(_WHOAMI)
    page.chmod(0o755)
    return directory


def pause_archive(directory: Path, pause: Path) -> Path:
    """Pack the pause image."""
    return _archive(directory / "pause.tar", {PAUSE: ["/pause"]}, _layer({"pause": pause.read_bytes()}, {}))


def busybox_archive(directory: Path) -> Path:
    """Pack the busybox image, under its own name and under critest's."""
    binary = busybox()
    applets = programs.run([binary, "--list"]).split()
    links = {f"bin/{applet}": "busybox" for applet in applets if applet != "busybox"}
    files = {"bin/busybox": binary.read_bytes(), "www/cgi-bin/whoami": _WHOAMI.encode(), "www/index.html": b"hello\n"}
    return _archive(directory / "busybox.tar", {BUSYBOX: ["/bin/sleep", "3600"], **_CRITEST}, _layer(files, links))


def _archive(path: Path, commands: Mapping[str, list[str]], layer: bytes) -> Path:
    """Pack images of one layer, given their names and commands."""
    with tarfile.open(path, "w") as tar:
        _add(tar, "layer.tar", layer)
        manifest = []
        for number, (name, command) in enumerate(commands.items()):
            config = {
                "architecture": _ARCHITECTURE,
                "os": "linux",
                "config": {
                    "Cmd": command,
                    "Env": ["PATH=/bin"],
                    "StopSignal": "SIGKILL",
                },  # nothing here has to end gracefully
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            }
            _add(tar, f"{number}.json", json.dumps(config).encode())
            manifest.append({"Config": f"{number}.json", "RepoTags": [name], "Layers": ["layer.tar"]})
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    return path


def _layer(files: Mapping[str, bytes], links: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            _add(tar, name, content)
        for name, target in links.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o755
    tar.addfile(member, io.BytesIO(content))
