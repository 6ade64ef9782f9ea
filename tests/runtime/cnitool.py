"""cnitool, libcni's own small runtime, on network namespaces that we make; and the plugin called bare."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from runtime.node import Json, Node

_CACHE = "/var/lib/cni/results"


@dataclass(frozen=True)
class CniTool:
    """cnitool with one configuration; `capabilities` are what the runtime would send to plugins that can use it."""

    node: Node
    program: Path
    conf_dir: Path
    capabilities: Mapping[str, Any] = field(default_factory=dict)

    def configure(self, conflist: Mapping[str, Any]) -> None:
        """Set the configuration that later calls use."""
        (self.conf_dir / "05-slash80.conflist").write_text(json.dumps(conflist))

    def call(self, verb: str, netns: str = "none", ifname: str = "eth0") -> CompletedProcess[str]:
        """Call a verb, whatever its exit code."""
        environment = {"CNI_PATH": str(self.node.daemon.bin_dir), "NETCONFPATH": str(self.conf_dir)}
        environment |= {"CAP_ARGS": json.dumps(self.capabilities), "CNI_IFNAME": ifname}
        argv = [self.program, verb, self.node.example["name"], f"/run/netns/{netns}"]
        return self.node.box.try_run(argv, env=environment)

    def succeed(self, verb: str, netns: str = "none", ifname: str = "eth0") -> str:
        """Call a verb that must succeed; give its output."""
        done = self.call(verb, netns, ifname)
        assert done.returncode == 0, f"cnitool {verb} {netns}: {done.stdout}{done.stderr}"
        return done.stdout

    def add(self, netns: str, ifname: str = "eth0") -> Json:
        """ADD; give the result."""
        result: Json = json.loads(self.succeed("add", netns, ifname))
        return result

    def forget(self) -> None:
        """Empty libcni's cache of attachments, as when it was lost."""
        self.node.box.run(["rm", "-rf", _CACHE])

    def plugin(self, command: str, stdin: Mapping[str, Any]) -> str:
        """Execute the plugin itself for a command that concerns no attachment."""
        environment = {"CNI_COMMAND": command, "CNI_PATH": str(self.node.daemon.bin_dir)}
        return self.node.box.run([self.node.daemon.bin_dir / "slash80"], stdin=json.dumps(stdin), env=environment)

    def container_id(self, netns: str) -> str:
        """Return the container ID that cnitool made up for a namespace."""
        caches = [json.loads(path.read_text()) for path in self.node.box.path(_CACHE).iterdir()]
        (found,) = (cache["containerId"] for cache in caches if cache["netns"] == f"/run/netns/{netns}")
        return str(found)

    @contextmanager
    def namespaces(self, count: int = 1) -> Iterator[list[str]]:
        """Make network namespaces, and take them away with all that was attached."""
        names = [f"tool-{uuid.uuid4()}" for _ in range(count)]
        try:
            for name in names:
                self.node.box.run(["ip", "netns", "add", name])
            yield names
        finally:
            for name in names:
                self.call("del", name)
                self.node.box.run(["ip", "netns", "del", name])
