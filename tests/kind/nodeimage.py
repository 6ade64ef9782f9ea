"""The node image: Debian packages, kind's own files for a node, Kubernetes built from its Go module, its images inside.

It is made once for what it depends on, and kept as one compressed file of its root.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kind import archive, debian, images
from kind.debian import bootstrap
from lab import programs
from lab.programs import ProgramFailed

NAME = "localhost/slash80-node:dev"
_CHANGES = ['ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]', "ENV container=docker", "STOPSIGNAL SIGRTMIN+3"]
_PACKAGES = [
    "busybox-static",
    "ca-certificates",
    "conntrack",
    "curl",
    "dbus",
    "ebtables",
    "ethtool",
    "iproute2",
    "ipset",
    "iptables",
    "iputils-ping",
    "jq",
    "kmod",
    "libseccomp2",
    "mount",
    "netcat-openbsd",
    "nftables",
    "pigz",
    "procps",
    "runc",  # and not our own, which has no seccomp
    "socat",
    "systemd",
    "systemd-sysv",
    "tcpdump",
]
_WANTS = "lib/systemd/system"
# What a machine starts and a container has no use for, as kind's Dockerfile removes it.
_UNWANTED = (
    f"{_WANTS}/multi-user.target.wants/*",
    f"{_WANTS}/local-fs.target.wants/*",
    f"{_WANTS}/basic.target.wants/*",
    f"{_WANTS}/sockets.target.wants/*udev*",
    f"{_WANTS}/sockets.target.wants/*initctl*",
    f"{_WANTS}/sysinit.target.wants/systemd-tmpfiles-setup.service",
    "etc/systemd/system/*.wants/*",
)
_STORAGE_CLASS = """apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard}
provisioner: example.invalid/none
"""
_CONTAINERD = """version = 2
root = "{root}"
state = "{state}/state"
disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]
[grpc]
address = "{state}/socket"
[ttrpc]
address = "{state}/ttrpc"
"""


def ensure(tools: Path, cluster_tools: Path, cache: Path) -> Path:
    """Return the compressed root of the node image, made if it is not there yet."""
    path = cache / f"node-{_key(tools, cluster_tools)}.tar.zst"
    if path.exists():
        return path
    print("building the node image of the clusters", flush=True)
    work = cache / "node.new"
    shutil.rmtree(work, ignore_errors=True)
    root = work / "root"
    work.mkdir(parents=True)
    try:
        bootstrap(root, _PACKAGES)
        _lay_out(root, tools, cluster_tools)
        version = (cluster_tools / "kubernetes.version").read_text().strip()
        for number, image in enumerate(images.of_kubernetes(cluster_tools, root, version)):
            archive.write(image, work / f"{number}.tar")
        _import(root, sorted(work.glob("*.tar")), tools)
        new = work / "node.tar.zst"
        programs.run(["tar", "-C", root, "-I", "zstd -T0 -3", "-cf", new, "."])
        for old in cache.glob("node-*.tar.zst"):
            old.unlink()
        new.replace(path)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return path


def load(path: Path, run: list[str]) -> None:
    """Load it into podman; `run` is the beginning of a command line that runs there."""
    changes = [word for change in _CHANGES for word in ("-c", change)]
    script = 'zstd -dc "$0" | "$@"'
    programs.run(["bash", "-o", "pipefail", "-c", script, path, *run, "podman", "import", "-q", *changes, "-", NAME])


def _key(tools: Path, cluster_tools: Path) -> str:
    made_by = "".join(map(inspect.getsource, (archive, debian, images, sys.modules[__name__])))
    text = f"{tools.name} {cluster_tools.name} {made_by}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _lay_out(root: Path, tools: Path, cluster_tools: Path) -> None:
    """Do what kind's Dockerfile of the base image does, and put the programs in."""
    for pattern in _UNWANTED:
        for path in root.glob(pattern):
            path.unlink()
    programs.run(["tar", "-C", root, "--no-same-owner", "-xf", cluster_tools / "kind-base.tar"])
    for program in (*(root / "kind/bin").iterdir(), root / "usr/local/bin/entrypoint"):
        program.chmod(0o755)
    for folder in ("kind/manifests", "etc/kubernetes/manifests", "opt/cni/bin", "etc/cni/net.d"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ("containerd", "containerd-shim-runc-v2", "ctr", "crictl"):
        _install(tools / name, root / "usr/local/bin")
    for name in ("kubelet", "kubectl", "kubeadm"):
        _install(cluster_tools / name, root / "usr/bin")
    _install(tools / "loopback", root / "opt/cni/bin")
    (root / "sbin/init").unlink(missing_ok=True)
    (root / "sbin/init").symlink_to("/lib/systemd/systemd")
    (root / "kind/version").write_text((cluster_tools / "kubernetes.version").read_text().strip())
    (root / "kind/manifests/default-storage.yaml").write_text(_STORAGE_CLASS)
    with (root / "etc/systemd/journald.conf").open("a") as settings:
        settings.write("ReadKMsg=no\n")
    for words in (["enable", "kubelet", "containerd", "undo-mount-hacks"], ["mask", "systemd-binfmt"]):
        programs.run(["chroot", root, "systemctl", words[0], *(f"{w}.service" for w in words[1:])])
    _write_base_spec(root)


def _write_base_spec(root: Path) -> None:
    """Write how containerd runs a container by default, with kind's hook, as kind's Dockerfile does with jq."""
    spec = json.loads(programs.run(["chroot", root, "/usr/local/bin/ctr", "oci", "spec"]))
    spec["hooks"] = {"createContainer": [{"path": "/kind/bin/mount-product-files.sh"}]}
    spec["process"].pop("rlimits", None)
    (root / "etc/containerd/cri-base.json").write_text(json.dumps(spec))


def _install(program: Path, folder: Path) -> None:
    shutil.copy(program, folder / program.name)
    (folder / program.name).chmod(0o755)


def _import(root: Path, archives: list[Path], tools: Path) -> None:
    """Have a containerd take the images into the store of the node's."""
    with _containerd(root / "var/lib/containerd", tools) as socket:
        for path in archives:
            words = ["images", "import", "--all-platforms", "--no-unpack", "--digests"]
            words += ["--label=io.cri-containerd.pinned=pinned", "--local", str(path)]
            programs.run([tools / "ctr", "-a", socket, "-n", "k8s.io", *words])


@contextmanager
def _containerd(store: Path, tools: Path) -> Iterator[Path]:
    """Run one over a store, for a moment."""
    state = store.parent / "containerd.state"
    shutil.rmtree(store, ignore_errors=True)
    for folder in (store, state):
        folder.mkdir(parents=True)
    config = state / "config.toml"
    config.write_text(_CONTAINERD.format(root=store, state=state))
    with (state / "log").open("wb") as log:
        daemon = subprocess.Popen([tools / "containerd", "-c", config], stdout=log, stderr=log)
    try:
        asking: list[str | Path] = [tools / "ctr", "-a", state / "socket", "version"]
        while programs.ended(asking).returncode:
            if daemon.poll() is not None:
                raise ProgramFailed(f"containerd did not start: {(state / 'log').read_text()}")
            time.sleep(0.1)
        yield state / "socket"
    finally:
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(state, ignore_errors=True)
