"""CRI-O inside the sandbox: it CHECKs after every ADD, waits for STATUS, and sends GC when it starts."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from lab.waiting import wait_until
from runtime.cri import Cri, CriError
from runtime.images import PAUSE
from runtime.node import Node
from runtime.podman import podman

_SOCKET = "/run/crio/crio.sock"
_CONFIG = """
[crio]
root = "{scratch}/containers"
runroot = "/run/podman-containers"
storage_driver = "vfs"
log_dir = "{scratch}/crio-logs"
version_file = "/run/crio/version"
version_file_persist = ""
clean_shutdown_file = "/run/crio/clean"
[crio.api]
listen = "{socket}"
[crio.runtime]
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
default_runtime = "runc"
pinns_path = "{tools}/pinns"
namespaces_dir = "/run/crio/namespaces"
container_exits_dir = "/run/crio/exits"
container_attach_socket_dir = "/run/crio/attach"
hooks_dir = []
default_capabilities = ["NET_BIND_SERVICE", "NET_RAW"]
[crio.runtime.runtimes.runc]
runtime_path = "{tools}/runc"
runtime_root = "/run/crio/runc"
monitor_path = "/usr/bin/conmon"
[crio.image]
pause_image = "{pause}"
signature_policy = "{scratch}/policy.json"
[crio.network]
network_dir = "{conf_dir}"
plugin_dirs = ["{bin_dir}"]
[crio.nri]
enable_nri = false
"""


class Crio:
    """The daemon, on a node that has its plugins and its configuration from containerd's."""

    def __init__(self, node: Node, tools: Path) -> None:
        """Write the daemon's configuration; nothing runs yet."""
        self._box, self._program = node.box, tools / "crio"
        self.cri = Cri(node.box, tools / "crictl", _SOCKET)
        self._config, self._no_more = node.box.scratch / "crio.conf", node.box.scratch / "crio.conf.d"
        self._no_more.mkdir(exist_ok=True)
        directories = {"conf_dir": node.daemon.conf_dir, "bin_dir": node.daemon.bin_dir, "scratch": node.box.scratch}
        self._config.write_text(_CONFIG.format(**directories, socket=_SOCKET, tools=tools, pause=PAUSE))
        self._running = ExitStack()

    def start(self) -> None:
        """Start the daemon and wait until its network is ready, which takes a STATUS without complaint."""
        command: list[str | Path] = [self._program, "--config", self._config, "--config-dir", self._no_more]
        self._running.enter_context(self._box.running(command, log="crio.log"))
        wait_until(self._is_ready)

    def stop(self) -> None:
        """End the daemon; its pods stay."""
        self._running.close()

    def _is_ready(self) -> bool:
        try:
            return bool(self.cri.network_condition()["status"])
        except CriError:
            return False


@contextmanager
def crio(node: Node, tools: Path) -> Iterator[tuple[Crio, Node]]:
    """Run CRI-O, with the images that podman loaded, for the time of the block; give it and a node with its pods."""
    with podman(node) as storage:
        storage.load("pause.tar")
    daemon = Crio(node, tools)
    try:
        daemon.start()
        with replace(node, cri=daemon.cri).pods(0):
            yield daemon, replace(node, cri=daemon.cri)
    finally:
        daemon.stop()
