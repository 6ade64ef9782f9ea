"""The plugins on nodes of their own, all dual-stack, and how they are called."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bench.figures import Sample
from lab.agent import Agent
from lab.namespaces import Namespace
from lab.programs import run
from lab.rig import configuration
from lab.topology import Node, Site

_C = Path(__file__).parent
RANGE4 = "10.96.0.0/16"  # room for a thousand pods, and for those removed before; each node has it for itself
_CLUSTER6 = "2001:db8::/48"  # of every node of a site
_TICK = os.sysconf("SC_CLK_TCK")


def programs(folder: Path) -> Path:
    """Build the C programs of the bench and give their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("caller", "floor", "traffic"):
        words: list[str | Path] = [
            "gcc",
            "-O2",
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            folder / name,
            _C / f"{name}.c",
        ]
        run(words)
    return folder


class Container(NamedTuple):
    """What a plugin is called for."""

    id: str
    pod: Namespace
    arguments: str = ""


@dataclass
class Contender:
    """A plugin on its node: the program and its configuration."""

    name: str
    program: Path
    node: Node
    conf: Path
    caller: Path
    agent: Agent | None = None
    serial: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))

    def containers(self, pods: Sequence[Namespace], arguments: Sequence[str] = ()) -> list[Container]:
        """Return each pod a container ID that was never used before; `arguments` are their CNI_ARGS."""
        given = arguments or [""] * len(pods)
        return [Container(f"{next(self.serial):064x}", *both) for both in zip(pods, given, strict=True)]

    def call(self, verb: str, pods: Sequence[Container], *, callers: int = 1) -> Sample:
        """Call the plugin for each pod, so many at once; every call must succeed. The agent's own CPU is shared out."""
        before = self.agent_cpu()
        lines = "".join(f"{one.id} {one.pod.path} {one.arguments}\n" for one in pods)
        words: list[str | Path] = [self.caller, str(callers), self.program, verb, self.conf]
        said = self.node.namespace.run(run, words, stdin=lines)
        sample = Sample.parse(said.splitlines())
        share = (self.agent_cpu() - before) // len(pods)
        return Sample(sample.took, tuple(cpu + share for cpu in sample.cpu), sample.span)

    @property
    def is_ours(self) -> bool:
        """Whether it is slash80, whose calls never fail."""
        return self.name.startswith("slash80")

    def memory(self) -> int:
        """Return the agent's memory in KiB, 0 without one."""
        return self.agent.memory() if self.agent else 0

    def agent_cpu(self) -> int:
        """Return the microseconds of CPU that the agent has used, and programs that it has run."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids()]
        return sum(int(one) for field in fields for one in field[11:15]) * 1_000_000 // _TICK

    def _pids(self) -> list[int]:
        return self.agent.pids if self.agent else []


Setting = Callable[[Node, Path, ExitStack], tuple[Path, Mapping[str, object], Agent | None]]


def _agent(variable: str) -> Setting:
    """Return the setting of an agent that is installed where the variable says."""

    def setting(node: Node, folder: Path, stack: ExitStack) -> tuple[Path, Mapping[str, object], Agent | None]:
        root = Path(os.environ[variable])
        conf = configuration(
            node,
            folder / f"agent{node.number}",
            ipv4={"prefixes": [RANGE4]},
            firewall={"clusterPrefixes": [_CLUSTER6]},
        )
        agent = stack.enter_context(Agent(node.namespace, root, Path(str(conf["stateDir"]))))
        return root / "opt/cni/bin/slash80", conf, agent

    return setting


def _engine(node: Node, folder: Path, _: ExitStack) -> tuple[Path, Mapping[str, object], Agent | None]:
    root = Path(os.environ["SLASH80_ROOT"])
    return (
        root / "opt/cni/bin/.slash80/engine",
        configuration(
            node,
            folder / f"engine{node.number}",
            ipv4={"prefixes": [RANGE4]},
            firewall={"clusterPrefixes": [_CLUSTER6]},
        ),
        None,
    )


def _reference(kind: str, **keys: object) -> Setting:
    def setting(node: Node, folder: Path, _: ExitStack) -> tuple[Path, Mapping[str, object], Agent | None]:
        ranges = [[{"subnet": RANGE4}], [{"subnet": node.prefix6}]]
        routes = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
        ipam = {
            "type": "host-local",
            "dataDir": str(folder / f"{kind}{node.number}"),
            "ranges": ranges,
            "routes": routes,
        }
        conf = {"cniVersion": "1.0.0", "name": kind, "type": kind, "ipam": ipam, **keys}
        return Path(os.environ["SLASH80_TOOLS"]) / kind, conf, None

    return setting


# In this order they take their turns: what is compared comes one right after the other, on a machine that others share.
SETTINGS: dict[str, Setting] = {
    "slash80 agent": _agent("SLASH80_ROOT"),
    **({"slash80 agent before": _agent("SLASH80_BEFORE")} if "SLASH80_BEFORE" in os.environ else {}),
    "bridge + host-local": _reference("bridge", bridge="br0", isGateway=True),
    "slash80 engine": _engine,
    "ptp + host-local": _reference("ptp"),
}


@contextmanager
def contenders(site: Site, folder: Path, names: Sequence[str]) -> Iterator[list[Contender]]:
    """Set up these plugins, each on a node of the site, and warm: the first pod of a node brings what stays."""
    with ExitStack() as stack:
        found = []
        for name, node in zip(names, site.nodes, strict=False):
            program, conf, agent = SETTINGS[name](node, folder, stack)
            path = folder / f"{name}{node.number}.json"
            path.write_text(json.dumps(dict(conf)))
            found.append(Contender(name, program, node, path, Path("build/bench/caller"), agent))
        for contender in found:
            pod = contender.containers([site.pod()])
            for verb in ("ADD", "DEL"):
                contender.call(verb, pod)
        yield found


def floor(node: Node, pods: Sequence[Namespace], how: str) -> dict[str, Sample]:
    """Have the kernel make and remove the same objects by raw netlink; `how` is `one` or `group`."""
    lines = "".join(f"{pod.path}\n" for pod in pods)
    said = node.namespace.run(run, ["build/bench/floor", how], stdin=lines).splitlines()
    count = len(pods) + 1
    return {"ADD": Sample.parse(said[:count]), "DEL": Sample.parse(said[count:])}
