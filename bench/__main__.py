"""Runs the benchmark, or parts of it, and prints a page; with --write it becomes docs/benchmarks/results.md."""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import admission, agents, chart, clusterset, connections, fanout, policed, policies, scale, sections, traffic
from bench.contenders import SETTINGS, programs
from bench.figures import table
from bench.sections import Extent, Results
from lab.programs import run

SECTIONS: dict[str, Callable[[Extent, Path, Results], Iterator[str]]] = {
    "calls": sections.calls,
    "moments": sections.moments,
    "growth": sections.growth,
    "agents": agents.agents,
    "traffic": traffic.traffic,
    "connections": connections.connections,
    "policies": policies.policies,
    "policed": policed.policed,
    "admission": admission.admission,
    "scale": scale.scale,
    "fanout": fanout.fanout,
    "clusterset": clusterset.clusterset,
}
_LONG = {"fanout"}  # these are measured only when they are asked for
PAGE = Path("docs/benchmarks")


def report(extent: Extent, chosen: list[str], results: Results) -> Iterator[str]:
    """Measure the chosen sections, and give the page line by line."""
    yield "# Benchmark results\n"
    yield f"Made by `make bench ARGS=--write`: Linux {platform.release()}, {os.cpu_count()} shared cores, load"
    yield f"{os.getloadavg()[0]:.1f} at the start. Times belong to the machine, ratios less so; [README](README.md)"
    yield "says how to read them.\n"
    programs(Path("build/bench"))
    with tempfile.TemporaryDirectory(prefix="slash80-bench-") as folder:
        for name in chosen:
            yield from SECTIONS[name](extent, Path(folder), results)
            if name == "calls":
                yield from sections.goals(results)
                yield from starts(Path(os.environ["SLASH80_ROOT"]))


def starts(root: Path) -> Iterator[str]:
    """Yield what the two programs weigh and take to start."""
    yield "\n## Start-up\n\nVERSION, the whole process, p50 of 50.\n"
    rows = []
    for name, program in (("launcher", "slash80"), ("frozen engine", ".slash80/engine")):
        path = root / "opt/cni/bin" / program
        took = []
        for _ in range(50):
            started = time.perf_counter()
            run([path], environ={"CNI_COMMAND": "VERSION"})
            took.append((time.perf_counter() - started) * 1000)
        files = [path] if name == "launcher" else [file for file in path.resolve().parent.rglob("*") if file.is_file()]
        rows.append([name, statistics.median(took), sum(file.stat().st_size for file in files) / 1e6])
    yield from table(["", "ms, with Python's subprocess", "MB"], rows)


def panels(results: Results) -> dict[str, list[tuple[str, float]]]:
    """Return what the chart shows."""
    found: dict[str, list[tuple[str, float]]] = {}
    for verb in ("ADD", "DEL"):
        found[f"{verb} alone, ms, p50"] = [
            (name, verbs[verb].milliseconds(0.5)) for name, verbs in results.alone.items()
        ]
        found[f"{verb} at once, calls a second"] = [(name, verbs[verb].rate) for name, verbs in results.crowd.items()]
    return found


def main() -> None:
    """Print the page as it comes, and keep it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="calls of each kind, one at a time")
    parser.add_argument("--pods", type=int, default=100, help="pods made at once")
    parser.add_argument("--callers", type=int, default=16, help="calls running at once")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SECTIONS,
        default=[name for name in SECTIONS if name not in _LONG],
        help="parts to measure",
    )
    parser.add_argument("--contenders", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="NAME")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE}/results.md and chart.svg")
    chosen = parser.parse_args()
    results, lines = Results(), []
    extent = Extent(chosen.rounds, chosen.pods, chosen.callers, chosen.contenders)
    for line in report(extent, chosen.only, results):
        print(line, flush=True)
        lines.append(line)
    if chosen.write:
        PAGE.mkdir(exist_ok=True)
        (PAGE / "results.md").write_text("\n".join(lines) + "\n")
        if results.alone:
            (PAGE / "chart.svg").write_text(chart.draw(panels(results)))


if __name__ == "__main__":
    main()
