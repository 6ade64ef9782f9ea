"""The parts of a run: each measures one thing and gives the lines of its page."""

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns

from bench.contenders import Container, Contender, contenders, floor
from bench.figures import Sample, table
from lab.namespaces import Namespace
from lab.programs import ProgramFailed
from lab.topology import Node, Site

REFERENCE, OURS = "bridge + host-local", "slash80 agent"
_VERBS = ("ADD", "DEL")
_TRIES = 3
_TURN = 20  # calls in a row, since pods come in bursts; a plugin's first one finds the caches full of another's data


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    rounds: int
    pods: int
    callers: int
    names: Sequence[str]


@dataclass
class Results:
    """What was measured so far: samples by section, contender and verb."""

    alone: dict[str, dict[str, Sample]] = field(default_factory=dict)
    crowd: dict[str, dict[str, Sample]] = field(default_factory=dict)


def calls(extent: Extent, folder: Path, results: Results) -> Iterator[str]:
    """Time one call after another, the plugins in turn, beside the kernel alone; then many at once."""
    with Site(nodes=len(extent.names) + 1) as site, contenders(site, folder, extent.names) as rivals:
        yield from _alone(extent, site, rivals, results)
        yield from _crowd(extent, site, rivals, results)


def _alone(extent: Extent, site: Site, rivals: list[Contender], results: Results) -> Iterator[str]:
    taken: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for start in range(0, extent.rounds, _TURN):
        for rival in rivals:
            pods = rival.containers([site.pod() for _ in range(min(_TURN, extent.rounds - start))])
            for verb in _VERBS:
                taken[rival.name][verb].append(rival.call(verb, pods))
    results.alone = {name: {verb: joined(found) for verb, found in verbs.items()} for name, verbs in taken.items()}
    results.alone["kernel alone"] = floor(site.nodes[-1], [site.pod() for _ in range(extent.rounds)], "one")
    yield f"## One call at a time\n\n{extent.rounds} pods, {_TURN} by each plugin in turn, dual-stack, milliseconds.\n"
    head = ["", *(f"{verb} {what}" for verb in _VERBS for what in ("p50", "p90", "p99", "CPU"))]
    rows = []
    for name, verbs in results.alone.items():
        figures = [
            figure
            for verb in _VERBS
            for figure in (*map(verbs[verb].milliseconds, (0.5, 0.9, 0.99)), verbs[verb].cpu_milliseconds)
        ]
        rows.append([name, *(figure or "" for figure in figures)])
    yield from table(head, rows)


def joined(samples: Sequence[Sample]) -> Sample:
    """Return samples of one kind as one, as if they had followed each other."""
    took = tuple(value for sample in samples for value in sample.took)
    return Sample(took, tuple(value for sample in samples for value in sample.cpu), sum(took))


def _crowd(extent: Extent, site: Site, rivals: list[Contender], results: Results) -> Iterator[str]:
    memory = {}
    for rival in rivals:
        pods, added = _added_at_once(site, rival, extent)
        memory[rival.name] = rival.memory()
        results.crowd[rival.name] = {"ADD": added, "DEL": rival.call("DEL", pods, callers=extent.callers)}
    results.crowd["kernel alone"] = floor(site.nodes[-1], [site.pod() for _ in range(extent.pods)], "group")
    yield f"\n## Many at once\n\n{extent.pods} pods by {extent.callers} callers. The kernel alone: one caller, and all"
    yield "links removed in one message. MiB: an agent's proportional set size with the pods there.\n"
    head = ["", "ADD/s", "ADD p50 ms", "ADD p99 ms", "CPU ms", "DEL/s", "DEL p50 ms", "DEL p99 ms", "CPU ms", "MiB"]
    rows = []
    for name, verbs in results.crowd.items():
        row: list[object] = [name]
        for verb in _VERBS:
            sample = verbs[verb]
            row += [sample.rate, sample.milliseconds(0.5), sample.milliseconds(0.99), sample.cpu_milliseconds or ""]
        rows.append([*row, memory.get(name, 0) / 1024 or ""])
    yield from table(head, rows)


def _added_at_once(site: Site, rival: Contender, extent: Extent) -> tuple[list[Container], Sample]:
    """Add pods, many at once; again with others where a reference plugin gives up, as bridge does.

    While many links are made at once the kernel's duplicate address detection, for which bridge waits, may take longer
    than the five seconds that it waits at most.
    """
    pods = rival.containers([site.pod() for _ in range(extent.pods)])
    for _ in range(0 if rival.is_ours else _TRIES - 1):
        try:
            return pods, rival.call("ADD", pods, callers=extent.callers)
        except ProgramFailed:
            rival.call("DEL", pods)
        pods = rival.containers([site.pod() for _ in range(extent.pods)])
    return pods, rival.call("ADD", pods, callers=extent.callers)


def goals(results: Results) -> Iterator[str]:
    """Hold the figures against what this project wants to reach."""
    if not {REFERENCE, OURS} <= set(results.alone):
        return
    alone, crowd = results.alone, results.crowd

    def ratio(sample: Callable[[dict[str, Sample]], float], among: dict[str, dict[str, Sample]]) -> float:
        return sample(among[OURS]) / sample(among[REFERENCE])

    add = ratio(lambda verbs: verbs["ADD"].milliseconds(0.5), alone)
    worst = alone[OURS]["ADD"].milliseconds(0.99) / alone[REFERENCE]["ADD"].milliseconds(0.5)
    delete = ratio(lambda verbs: verbs["DEL"].milliseconds(0.5), alone)
    adds, deletes = (ratio(lambda verbs, verb=verb: verbs[verb].rate, crowd) for verb in _VERBS)  # type: ignore[misc]
    yield f"\n## Goals\n\nRatios of {OURS} to {REFERENCE} in this run.\n"
    rows = [
        ["ADD p50", "<= 0.30", add, _met(add <= 0.3)],
        ["ADD p99 to bridge's p50", "<= 1.00", worst, _met(worst <= 1)],
        ["DEL p50", "<= 0.10", delete, _met(delete <= 0.1)],
        ["ADD/s at once", ">= 5.0", adds, _met(adds >= 5)],
        ["DEL/s at once", ">= 10.0", deletes, _met(deletes >= 10)],
    ]
    yield from table(["", "goal", "measured", ""], rows)


def _met(met: bool) -> str:  # noqa: FBT001 - it is what it says
    return "met" if met else "not met"


def growth(extent: Extent, folder: Path, _: Results) -> Iterator[str]:
    """Time calls with so many pods present."""
    names = [name for name in extent.names if name in {OURS, REFERENCE}]
    yield "\n## Growth\n\nMilliseconds, p50 of 20 calls, with so many pods on the node before.\n"
    rows = []
    with Site(nodes=len(names)) as site, contenders(site, folder, names) as rivals:
        for rival in rivals:
            there = 0
            for present in (0, 100, 1000):
                if present > there:
                    # one by one, or bridge gives up on some, see `_added_at_once`
                    rival.call("ADD", rival.containers([site.pod() for _ in range(present - there)]))
                    there = present
                found = _cycles(site, rival, 20)
                rows.append([rival.name, present, *(found[verb].milliseconds(0.5) for verb in _VERBS)])
    yield from table(["", "pods", "ADD", "DEL"], rows)


def _cycles(site: Site, rival: Contender, count: int) -> dict[str, Sample]:
    taken: dict[str, list[Sample]] = defaultdict(list)
    for _ in range(count):
        pod = rival.containers([site.pod()])
        for verb in _VERBS:
            taken[verb].append(rival.call(verb, pod))
    return {verb: joined(found) for verb, found in taken.items()}


def moments(extent: Extent, folder: Path, results: Results) -> Iterator[str]:
    """Return where the milliseconds of ADD and DEL go: the engine in this process, with all open as in the agent."""
    with Site() as site:
        found = site.node.namespace.run(
            _watched, site.node, folder / "moments", [site.pod() for _ in range(extent.rounds)]
        )
    yield "\n## Where the time goes\n\nThe engine in one warm process, as in the agent: milliseconds from one named"
    yield "moment of `src/slash80/failpoints.py` to the next, p50. The rest of a call is launcher and hand-over.\n"
    rows: list[list[object]] = []
    for verb in _VERBS:
        parts = {name: statistics.median(values) / 1e6 for (of, name), values in found.items() if of == verb}
        rows += [[f"{verb}: {name}", figure] for name, figure in parts.items()]
        rows.append([f"**{verb}: engine**", sum(parts.values())])
        if OURS in results.alone:
            rows.append([f"**{verb}: whole call**", results.alone[OURS][verb].milliseconds(0.5)])
    yield from table(["until", "ms"], rows)


def _watched(node: Node, state_dir: Path, pods: Sequence[Namespace]) -> dict[tuple[str, str], list[int]]:
    """Attach and detach each pod in this process, and give the nanoseconds up to each moment."""
    import io  # noqa: PLC0415 - with the engine, below
    import os  # noqa: PLC0415 - the same

    from lab.rig import configuration  # noqa: PLC0415 - the same
    from slash80 import engine, failpoints  # noqa: PLC0415 - the bench of others works without it
    from slash80.agent.serve.reaper import Reaper  # noqa: PLC0415 - the same
    from slash80.agent.serve.resources import HostPool  # noqa: PLC0415 - the same
    from slash80.host.context import CallContext  # noqa: PLC0415 - the same

    stdin = json.dumps(configuration(node, state_dir)).encode()
    warm = HostPool(state_dir, Reaper(lambda: 0))
    found: dict[tuple[str, str], list[int]] = defaultdict(list)

    def call(verb: str, number: int, sandbox: int) -> None:
        environ = {"CNI_COMMAND": verb, "CNI_CONTAINERID": f"{number:064x}", "CNI_NETNS": "handed over"}
        environ |= {"CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin"}
        last = perf_counter_ns()

        def watch(moment: failpoints.Failpoint) -> None:
            nonlocal last
            now = perf_counter_ns()
            found[verb, moment.value].append(now - last)
            last = now

        failpoints.watch(watch)
        try:
            answers: list[int] = []
            means = CallContext(warm.opened, sandbox)
            engine.answer(environ, io.BytesIO(stdin), lambda code, _: answers.append(code), context=means)
        finally:
            failpoints.watch(None)
        assert answers == [0]
        found[verb, "return"].append(perf_counter_ns() - last)

    for number, pod in enumerate(pods):
        sandbox = os.open(pod.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for verb in _VERBS:
                call(verb, number, sandbox)
        finally:
            os.close(sandbox)
        if number == 0:
            found.clear()  # the first pod of a node brings the firewall
    return found
