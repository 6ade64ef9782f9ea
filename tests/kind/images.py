"""The images of Kubernetes' own containers, from programs built here and packages of the node's root."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from kind.archive import Image
from lab.programs import ended

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:slash80"
_XTABLES = "/usr/sbin/xtables-nft-multi"
_IPTABLES = [f"{family}tables{what}" for family in ("ip", "ip6") for what in ("", "-save", "-restore")]
_BUSYBOX = ("cat", "grep", "id", "ip", "ls", "ping", "ps", "sleep", "sh", "wget")


def of_kubernetes(tools: Path, root: Path, version: str) -> Iterator[Image]:
    """Yield them all under the names that kubeadm of this version asks for; `root` is a Debian system."""
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        yield Image([f"registry.k8s.io/{name}:{version}"], {f"/usr/local/bin/{name}": tools / name})
    yield Image(
        [f"registry.k8s.io/kube-proxy:{version}"],
        {"/usr/local/bin/kube-proxy": tools / "kube-proxy", **_network_programs(root)},
        links={f"/usr/sbin/{name}": "xtables-nft-multi" for name in _IPTABLES},
    )
    yield Image(["registry.k8s.io/etcd:3.6.5-0"], {"/usr/local/bin/etcd": tools / "etcd"})
    yield Image(["registry.k8s.io/coredns/coredns:v1.12.1"], {"/coredns": tools / "coredns"}, entrypoint=["/coredns"])
    pause = ["registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10.1"]
    yield Image(pause, {"/pause": tools / "pause"}, entrypoint=["/pause"])
    yield Image(
        [AGNHOST],
        {"/agnhost": tools / "agnhost", **_shell(root)},
        links={f"/bin/{name}": "busybox" for name in _BUSYBOX},
        entrypoint=["/agnhost"],
        command=["pause"],
    )


def _network_programs(root: Path) -> dict[str, Path]:
    """Return what kube-proxy runs; the modules of xtables are loaded by name, and need libraries of their own."""
    modules = sorted((root / "usr/lib/x86_64-linux-gnu/xtables").glob("*.so"))
    inside = [f"/{path.relative_to(root)}" for path in modules]
    return with_libraries(root, [_XTABLES, "/usr/sbin/nft", "/usr/sbin/conntrack", "/usr/sbin/ipset", *inside])


def _shell(root: Path) -> dict[str, Path]:
    return with_libraries(root, ["/usr/bin/curl", "/usr/bin/nc.openbsd"]) | {"/bin/busybox": root / "usr/bin/busybox"}


def with_libraries(root: Path, programs: Iterable[str]) -> dict[str, Path]:
    """Return programs of a root, and all shared libraries that they need, by their paths in it."""
    found: dict[str, Path] = {}
    waiting = [*programs]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = _resolved(root, name)
        # ldd fails for what needs none
        told = ended(["chroot", root, "ldd", name]).stdout
        waiting += [word for word in told.split() if word.startswith("/")]
    return found


def _resolved(root: Path, name: str) -> Path:
    """Follow links as they lead inside the root."""
    path = root / name.lstrip("/")
    for _ in range(16):
        if path.is_symlink():
            leads_to = path.readlink()
            path = root / str(leads_to).lstrip("/") if leads_to.is_absolute() else path.parent / leads_to
        elif not path.exists():
            # /lib and /bin are links themselves
            path = root / "usr" / path.relative_to(root)
        else:
            return Path(os.path.normpath(path))
    raise FileNotFoundError(name)
