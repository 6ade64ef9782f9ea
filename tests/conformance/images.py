"""What the specs run in pods: one image with agnhost and Debian's programs, under the names of all that they ask for.

Scripts of the specs are run in agnhost's and in jessie-dnsutils' image, and need a shell with what belongs to it, dig
and getent. Of nginx' they expect a pod that keeps running.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import tempfile
from pathlib import Path

from kind import archive, debian
from kind.archive import Image
from kind.images import with_libraries
from lab import programs

_REGISTRY = "registry.k8s.io/e2e-test-images"
_NAMES = ("agnhost", "busybox", "jessie-dnsutils", "nginx")
_PACKAGES = ["bind9-dnsutils", "busybox-static", "curl", "iproute2", "netcat-openbsd", "wget"]
# Busybox has these too, but not as the specs expect them: its nc has no -u, and its wget crashes with -T.
_PROGRAMS = {
    "/bin/bash": "bash",
    "/bin/dash": "sh",
    "/bin/ip": "ip",
    "/bin/nc.openbsd": "nc",
    "/bin/ss": "ss",
    "/usr/bin/curl": "curl",
    "/usr/bin/dig": "dig",
    "/usr/bin/getent": "getent",
    "/usr/bin/wget": "wget",
}
_BUSYBOX = "/bin/busybox"
_LOOKUPS = "hosts: files dns\n"


def ensure(tools: Path, cluster_tools: Path, cache: Path) -> Path:
    """Return the image's archive, made of the tools of the specs and of the cluster if it is not there yet."""
    path = cache / f"conformance-image-{_key(tools, cluster_tools)}.tar"
    if path.exists():
        return path
    print("making the image that the specs run", flush=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="conformance-root-") as folder:
        root = Path(folder) / "root"
        debian.bootstrap(root, _PACKAGES)
        (Path(folder) / "nsswitch.conf").write_text(_LOOKUPS)
        files = with_libraries(root, _PROGRAMS) | {
            "/agnhost": cluster_tools / "agnhost",
            "/coredns": cluster_tools / "coredns",
            "/etc/nsswitch.conf": Path(folder) / "nsswitch.conf",
            "/localhost.crt": tools / "localhost.crt",
            "/localhost.key": tools / "localhost.key",
            _BUSYBOX: root / "usr/bin/busybox",
        }
        links = _links(programs.run([root / "usr/bin/busybox", "--list"]).split())
        names = wanted(programs.run([tools / "e2e.test", "--list-images"]).split())
        new = Path(folder) / "image.tar"
        archive.write(Image(names, files, links, entrypoint=["/agnhost"], command=["pause"]), new)
        for old in cache.glob("conformance-image-*.tar"):
            old.unlink()
        new.replace(path)
    return path


def wanted(listed: list[str]) -> list[str]:
    """Return those of the end-to-end tests' images for which ours stands."""
    return [name for name in listed if any(name.startswith(f"{_REGISTRY}/{ours}:") for ours in _NAMES)]


def _links(applets: list[str]) -> dict[str, str]:
    """Return all links below /bin: names of Debian's programs, and of busybox' applets that are not among these."""
    found = {f"/bin/{applet}": _BUSYBOX for applet in applets}
    found |= {f"/bin/{name}": path for path, name in _PROGRAMS.items()}
    return {name: path for name, path in found.items() if name != path}


def _key(tools: Path, cluster_tools: Path) -> str:
    """Name all that the image is made of."""
    sources = (sys.modules[__name__], archive, debian, inspect.getmodule(with_libraries))
    total = hashlib.sha256("".join(inspect.getsource(one) for one in sources if one).encode())
    for program in (tools / "e2e.test", cluster_tools / "agnhost", cluster_tools / "coredns"):
        about = program.stat()
        total.update(f"{about.st_size} {about.st_mtime_ns}\0".encode())
    return total.hexdigest()[:12]
