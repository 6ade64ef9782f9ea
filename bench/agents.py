"""Agents as such: what they take of a node's memory, and the first call of one that was just started."""

import json
import os
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.contenders import RANGE4, Contender
from bench.figures import table
from bench.sections import Extent, Results
from lab.agent import Agent
from lab.node_agent import node_agent
from lab.rig import configuration
from lab.topology import Node, Site

_PODS = 108  # of a node that is full for its kubelet, two of whose 110 pods are in the host's network
_STARTS = 10
_TEXT = """
## Agents

MiB are an agent's proportional set size, all its processes together, alone and with its controller beside an API
server. Then it is started {starts} times on a node that has its firewall: its first ADD, p50 and the slowest, and p50
of its fifth, in ms (load {load:.1f} at the start).
"""


def agents(extent: Extent, folder: Path, _: Results) -> Iterator[str]:
    """Measure the memory and the first calls of an agent alone, and of one with its controller."""
    yield _TEXT.format(starts=_STARTS, load=os.getloadavg()[0])
    root, rows = Path(os.environ["SLASH80_ROOT"]), []
    with Site(nodes=2) as site:
        alone, controlled = site.nodes
        conf = configuration(alone, folder / "alone", ipv4={"prefixes": [RANGE4]})
        with Agent(alone.namespace, root, folder / "alone") as agent:
            rows.append(["agent alone", *_figures(site, caller_of(alone, agent, conf), extent.callers)])
        with node_agent(controlled, root, folder / "node", prefix4=RANGE4) as agent:
            rows.append(
                [
                    "agent with its controller",
                    *_figures(site, caller_of(controlled, agent, agent.conf()), extent.callers),
                ]
            )
    yield from table(["", "MiB, no pod", f"MiB, {_PODS} pods", "first ADD", "slowest", "fifth ADD"], rows)


def caller_of(node: Node, agent: Agent, conf: Mapping[str, object]) -> Contender:
    """Return what calls the plugin on an agent's node."""
    path = agent.state_dir.with_suffix(".json")
    path.write_text(json.dumps(dict(conf)))
    return Contender("agent", agent.program, node, path, Path("build/bench/caller"), agent)


def _figures(site: Site, caller: Contender, callers: int) -> list[float]:
    empty = caller.memory() / 1024
    pods = caller.containers([site.pod() for _ in range(_PODS)])
    caller.call("ADD", pods, callers=callers)
    full = caller.memory() / 1024
    caller.call("DEL", pods, callers=callers)
    first, fifth = zip(*(_cold(site, caller) for _ in range(_STARTS)), strict=True)
    return [empty, full, statistics.median(first), max(first), statistics.median(fifth)]


def _cold(site: Site, caller: Contender) -> tuple[float, float]:
    """Start the agent again, and return the milliseconds of its first ADD and of its fifth."""
    assert caller.agent
    assert caller.agent.stop() == 0
    caller.agent.start()
    pods = caller.containers([site.pod() for _ in range(5)])
    took = [caller.call("ADD", [pod]).milliseconds(0.5) for pod in pods]
    caller.call("DEL", pods)
    return took[0], took[-1]
