"""`make bench`: what a call costs beside the reference plugins in the same run, and what the frozen engine is made of.

Each plugin gets a node of its own in network namespaces, and they take turns, so that a noisy machine is noisy for all.
Quote medians and ratios: absolute times belong to the machine.
"""

import argparse
import itertools
import json
import os
import platform
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lab.namespaces import Namespace
from lab.rig import configuration
from lab.topology import Node, Site

_GLIBC = re.compile(r"GLIBC_(\d+\.\d+)")


@dataclass
class Contender:
    """A plugin on its node: the program, its configuration, and what its calls took in milliseconds."""

    name: str
    program: Path
    node: Node
    conf: dict[str, object]
    times: dict[str, list[float]] = field(default_factory=lambda: {"ADD": [], "DEL": []})

    def call(self, verb: str, pod: Namespace) -> float:
        """Make one call, which must succeed, and give its milliseconds."""
        environ = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": pod.name,
            "CNI_NETNS": str(pod.path),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(self.program.parent),
            "PATH": os.environ["PATH"],
        }
        started = time.perf_counter()
        done = self.node.namespace.run(
            subprocess.run, [self.program], env=environ, input=json.dumps(self.conf).encode(), capture_output=True
        )
        took = (time.perf_counter() - started) * 1000
        if done.returncode:
            raise RuntimeError(f"{self.name} {verb}: {done.stdout.decode()} {done.stderr.decode()}")
        return took

    def cycle(self, pod: Namespace) -> None:
        """ADD and DEL one pod, and note the times."""
        for verb, times in self.times.items():
            times.append(self.call(verb, pod))


def contenders(site: Site, folder: Path) -> list[Contender]:
    """Set up slash80 and the reference plugins, dual-stack, each on a node of its own."""
    tools = Path(os.environ["SLASH80_TOOLS"])
    ours, *theirs = site.nodes
    slash80 = Path(os.environ["SLASH80_ROOT"]) / "opt/cni/bin/slash80"
    found = [Contender("slash80", slash80, ours, configuration(ours, folder / "slash80"))]
    for kind, node in zip(("bridge", "ptp"), theirs, strict=True):
        ranges = [[{"subnet": node.prefix4}], [{"subnet": node.prefix6}]]
        routes = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
        ipam = {"type": "host-local", "dataDir": str(folder / kind), "ranges": ranges, "routes": routes}
        conf: dict[str, object] = {"cniVersion": "1.0.0", "name": kind, "type": kind, "ipam": ipam}
        conf |= {"bridge": "br0", "isGateway": True} if kind == "bridge" else {}
        found.append(Contender(f"{kind} + host-local", tools / kind, node, conf))
    return found


def alone(site: Site, rivals: list[Contender], rounds: int) -> Iterator[str]:
    """Time one call after another, the plugins in turn."""
    for rival in rivals:
        rival.cycle(site.pod())  # warm: the first pod of a node brings bridge, firewall, directories
        rival.times = {"ADD": [], "DEL": []}
    for _ in range(rounds):
        for rival in rivals:
            rival.cycle(site.pod())
    yield from ("", f"One call at a time, dual-stack, {rounds} rounds, milliseconds:", "")
    yield from ("| plugin | ADD p50 | p90 | max | DEL p50 | p90 | max |", "|---|---|---|---|---|---|---|")
    for rival in rivals:
        cells = [f"{value:.1f}" for times in rival.times.values() for value in _spread(times)]
        yield f"| {rival.name} | {' | '.join(cells)} |"
    reference = next(rival for rival in rivals if rival.name.startswith("bridge"))
    ratios = [statistics.median(rivals[0].times[v]) / statistics.median(reference.times[v]) for v in ("ADD", "DEL")]
    yield from (
        "",
        f"slash80 takes {ratios[0]:.2f}x of {reference.name} for ADD and {ratios[1]:.2f}x for DEL (medians).",
    )


def _spread(times: list[float]) -> tuple[float, float, float]:
    ordered = sorted(times)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.9)], ordered[-1]


def at_once(site: Site, rivals: list[Contender], pods: int, callers: int) -> Iterator[str]:
    """Time many calls at once."""
    yield from (
        "",
        f"{pods} pods by {callers} callers at once, per second:",
        "",
        "| plugin | ADD/s | DEL/s |",
        "|---|---|---|",
    )
    for rival in rivals:
        made = [site.pod() for _ in range(pods)]
        rates = []
        for verb in ("ADD", "DEL"):
            started = time.perf_counter()
            with ThreadPoolExecutor(callers) as pool:
                list(pool.map(rival.call, itertools.repeat(verb), made))
            rates.append(f"{pods / (time.perf_counter() - started):.1f}")
        yield f"| {rival.name} | {' | '.join(rates)} |"


def frozen(engine: Path, rounds: int) -> Iterator[str]:
    """Say what the frozen engine weighs, needs and takes to start."""
    version = _milliseconds(lambda: _version(engine), rounds)
    files = [path for path in engine.parent.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 2**20
    yield from ("", "The frozen engine:", "")
    yield f"- start-up (VERSION): {version:.1f} ms, median of {rounds}"
    yield f"- size: {size:.1f} MiB in {len(files)} files"
    yield f"- needs glibc {_glibc(files)} or newer"


def _version(engine: Path) -> None:
    subprocess.run([engine], env={"CNI_COMMAND": "VERSION"}, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def _milliseconds(action: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        action()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times[1:])


def _glibc(files: list[Path]) -> str:
    """Find the highest version of a glibc symbol that any of the files asks for."""
    elves = [path for path in files if path.read_bytes()[:4] == b"\x7fELF"]
    said = subprocess.run(["objdump", "-T", *elves], capture_output=True, text=True, check=True).stdout
    found: set[str] = set(_GLIBC.findall(said))
    return max(found, key=lambda version: tuple(map(int, version.split("."))))


def report(rounds: int, pods: int, callers: int) -> Iterator[str]:
    """Run everything and give the report line by line."""
    yield f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} at the start"
    engine = (Path(os.environ["SLASH80_ROOT"]) / "opt/cni/bin/slash80").resolve()
    yield from frozen(engine, rounds)
    with tempfile.TemporaryDirectory(prefix="slash80-bench-") as folder, Site(nodes=3) as site:
        rivals = contenders(site, Path(folder))
        yield from alone(site, rivals, rounds)
        yield from at_once(site, rivals, pods, callers)


def main() -> None:
    """Print the report as it comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="calls of each kind, one at a time")
    parser.add_argument("--pods", type=int, default=64, help="pods made at once")
    parser.add_argument("--callers", type=int, default=16, help="calls running at once")
    chosen = parser.parse_args()
    for line in report(chosen.rounds, chosen.pods, chosen.callers):
        print(line, flush=True)


if __name__ == "__main__":
    main()
