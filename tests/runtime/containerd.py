"""A containerd inside the sandbox, with the shipped plugin as its only network plugin."""

import json
import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lab.waiting import wait_until
from runtime import images
from runtime.release import Release
from runtime.sandbox import Sandbox, Started

SOCKET = "/run/slash80-runtime/containerd.sock"

# restrict_oom_score_adj: without CAP_SYS_RESOURCE runc cannot lower a score.
# ip_pref "cni": the first address reported is the first that the plugin gave, not the first IPv4.
_CONFIG = """
version = 2
root = "{scratch}/root"
state = "/run/slash80-runtime/state"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{scratch}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{bin_dir}"
conf_dir = "{conf_dir}"
ip_pref = "cni"
"""


class Containerd:
    """The daemon and its directories of plugins and configurations."""

    def __init__(self, box: Sandbox, release: Release, tools: Path) -> None:
        """Write the daemon's configuration; nothing runs yet."""
        self._box, self._crictl = box, tools / "crictl"
        self.release = release
        self.bin_dir = box.scratch / "cni-bin"
        self.conf_dir = box.scratch / "cni-net.d"
        self.log = box.scratch / "containerd.log"
        self.conf_dir.mkdir()
        self._config = box.scratch / "containerd.toml"
        self._config.write_text(
            _CONFIG.format(
                scratch=box.scratch,
                socket=SOCKET,
                pause=images.PAUSE,
                bin_dir=self.bin_dir,
                conf_dir=self.conf_dir,
            )
        )
        self._running = ExitStack()
        self._process: Started

    def install_plugins(self, shipped: Path, others: Iterable[Path]) -> None:
        """Copy the plugin as `make install` laid it out, and others' plugins beside it."""
        shutil.copytree(shipped, self.bin_dir, symlinks=True)
        for plugin in others:
            shutil.copy2(plugin, self.bin_dir)

    def start(self) -> None:
        """Start the daemon and wait until it serves pods."""
        command = ["env", f"PATH={self.release.path}", "containerd", "--config", str(self._config)]
        self._process = self._running.enter_context(self._box.running(command, log=self.log.name))
        # containerd itself answers earlier, but until the CRI plugin has recovered its pods all calls fail.
        wait_until(self.answers)

    def stop(self) -> None:
        """End the daemon; its shims, and with them the pods, stay."""
        self._running.close()

    def kill(self) -> None:
        """End the daemon at whatever instruction it is."""
        self._process.end(signal.SIGKILL)
        self._running.close()

    def answers(self) -> bool:
        """Report whether pods are served."""
        return self._box.try_run([self._crictl, "-r", f"unix://{SOCKET}", "version"]).returncode == 0

    def import_image(self, archive: Path) -> None:
        """Load an image under the names in its archive."""
        flags = [*self.release.import_flags, "--snapshotter", "native"]
        ctr = ["env", f"PATH={self.release.path}", "ctr", "-a", SOCKET, "-n", "k8s.io"]
        self._box.run([*ctr, "images", "import", *flags, archive])

    def write_conflist(self, conflist: Mapping[str, Any]) -> None:
        """Put a configuration in place as an installer must: by rename, within the watched directory."""
        hidden = self.conf_dir / ".05-slash80.conflist.tmp"
        hidden.write_text(json.dumps(conflist))
        hidden.rename(self.conf_dir / "05-slash80.conflist")

    def remove_conflist(self) -> None:
        """Take the configuration away."""
        (self.conf_dir / "05-slash80.conflist").unlink()


@contextmanager
def containerd(box: Sandbox, root: Path, tools: Path, release: Release) -> Iterator[Containerd]:
    """Run a containerd with its images loaded, for the time of the block."""
    daemon = Containerd(box, release, tools)
    # loopback is containerd's own demand, the others are what people chain
    others = [tools / name for name in ("loopback", "tuning", "portmap", "bandwidth", "sbr")]
    daemon.install_plugins(root / "opt/cni/bin", others)
    try:
        daemon.start()
        daemon.import_image(images.pause_archive(box.scratch, box.scratch / "pause"))
        daemon.import_image(images.busybox_archive(box.scratch))
        yield daemon
    finally:
        daemon.stop()
