"""podman inside the sandbox, with its CNI backend, the same plugins and the same configuration as containerd."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import CompletedProcess

from runtime.images import BUSYBOX
from runtime.internet import PORT
from runtime.node import Json, Node
from runtime.sandbox import Sandbox

_CONFIG = """
[network]
network_backend = "cni"
cni_plugin_dirs = ["{bin_dir}"]
network_config_dir = "{conf_dir}"
default_network = "slash80"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
_STORAGE = """
[storage]
driver = "vfs"
runroot = "/run/podman-containers"
graphroot = "{scratch}/containers"
"""


@dataclass(frozen=True)
class Podman:
    """A client; podman has no daemon."""

    box: Sandbox

    def call(self, *words: str) -> CompletedProcess[str]:
        """Call it, whatever its exit code."""
        scratch = self.box.scratch
        environment = {
            "CONTAINERS_CONF": f"{scratch}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{scratch}/storage.conf",
            "HOME": str(scratch),
        }
        return self.box.try_run(["podman", "--tmpdir", "/run/podman", *words], env=environment)

    def run(self, *words: str) -> str:
        """Call it for what must succeed; give its output."""
        done = self.call(*words)
        assert done.returncode == 0, f"podman {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def load(self, archive: str) -> None:
        """Load the images of an archive in the scratch directory."""
        scratch = self.box.scratch
        self.run("load", "--quiet", "--signature-policy", f"{scratch}/policy.json", "--input", f"{scratch}/{archive}")

    def serve(self, name: str, *options: str) -> None:
        """Start a container with a web server."""
        self.run("run", "-d", "--name", name, *options, BUSYBOX, "httpd", "-f", "-p", str(PORT), "-h", "/www")

    def network(self, name: str) -> Json:
        """Return what podman knows of a container's network."""
        found: Json = json.loads(self.run("inspect", name, "--format", "{{json .NetworkSettings.Networks.slash80}}"))
        return found

    def addresses(self, name: str) -> dict[int, str]:
        """Return a container's addresses by family number."""
        network = self.network(name)
        return {4: network["IPAddress"], 6: network["GlobalIPv6Address"]}


@contextmanager
def podman(node: Node) -> Iterator[Podman]:
    """Have podman with its image loaded, and at the end without containers."""
    box, daemon = node.box, node.daemon
    (box.scratch / "containers.conf").write_text(_CONFIG.format(bin_dir=daemon.bin_dir, conf_dir=daemon.conf_dir))
    (box.scratch / "storage.conf").write_text(_STORAGE.format(scratch=box.scratch))
    (box.scratch / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    made = Podman(box)
    made.load("busybox.tar")
    try:
        yield made
    finally:
        made.run("rm", "--all", "--force", "--time", "0")
