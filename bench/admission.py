"""What NetworkPolicies add to an ADD, the whole way: launcher, agent, its controller, and the API that it follows."""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import cluster
from bench.agents import caller_of
from bench.api import ClusterApi
from bench.contenders import RANGE4, Contender
from bench.figures import Sample, table
from bench.sections import Extent, Results, joined
from lab.kube import FakeApi
from lab.node_agent import NodeAgent, node_agent
from lab.topology import Site
from lab.waiting import wait_until

_PODS, _POLICIES = 10_000, 1000
_TURNS, _AT_ONCE = 9, 9
WITHOUT, FREE, POLICED, FIRST = (
    "cluster without policies",
    "namespace without policies",
    "namespace with policies",
    "first pod of an application",
)
_TEXT = """
## ADD under NetworkPolicies

Agents with their controllers, in a cluster of {pods} pods without policies and in one with {policies}; the API has
shown the pods before. {count} ADDs of each kind, {at_once} in turn: ms (load {load:.1f} at the start). The third kind
are pods of an application that has another one on the node, the last the first of theirs there.
"""


def admission(_: Extent, folder: Path, __: Results) -> Iterator[str]:
    """Measure ADDs of pods with and without policies in turn."""
    root, taken = Path(os.environ["SLASH80_ROOT"]), defaultdict[str, list[Sample]](list)
    yield _TEXT.format(
        pods=_PODS, policies=_POLICIES, count=_TURNS * _AT_ONCE, at_once=_AT_ONCE, load=os.getloadavg()[0]
    )
    with (
        Site(nodes=2) as site,
        node_agent(site.nodes[0], root, folder / "without", prefix4=RANGE4, make_api=_api(0)) as without,
        node_agent(site.nodes[1], root, folder / "with", prefix4=RANGE4, make_api=_api(_POLICIES)) as having,
    ):
        plain, policed = (
            caller_of(node, agent, agent.conf()) for node, agent in zip(site.nodes, (without, having), strict=True)
        )
        wait_until(lambda: counts(having)["policies"] == _POLICIES)
        residents = [cluster.named(_alike(turn)[0]).arguments for turn in range(_TURNS)]
        policed.call("ADD", policed.containers([site.pod() for _ in residents], residents))
        for turn in range(_TURNS):
            for kind, arguments in _kinds(turn).items():
                contender = plain if kind == WITHOUT else policed
                taken[kind].append(_added(site, contender, arguments))
        wait_until(lambda: sum(counts(having)[word] for word in ("expected", "asked")) == (2 * _AT_ONCE + 1) * _TURNS)
        said = counts(having)
    yield from table(["", "p50", "p90", "CPU", "ratio", "more"], _rows(taken))
    yield f"\n{said['expected']} pods of the last two kinds found their rules, and {said['asked']} had to ask for them."


def _alike(turn: int) -> list[int]:
    """Return the pods of a turn whose application has another pod on the node, which stays: the first of each."""
    return [turn + 1 + 1000 * number for number in range(_AT_ONCE + 1)]


def _first(turn: int) -> list[int]:
    """Return the pods of a turn that are of one namespace and of an application each."""
    return [20 + turn + cluster.NAMESPACES * number for number in range(_AT_ONCE)]


def _kinds(turn: int) -> dict[str, list[str]]:
    """Return the CNI_ARGS of the pods of a turn."""
    free = [f"K8S_POD_NAMESPACE=free;K8S_POD_NAME=p{n};K8S_POD_UID=u{n}" for n in range(_AT_ONCE)]
    policed, new = ([cluster.named(n).arguments for n in numbers] for numbers in (_alike(turn)[1:], _first(turn)))
    return {WITHOUT: free, FREE: free, POLICED: policed, FIRST: new}


def _api(policies: int) -> Callable[[Path], FakeApi]:
    """Return what makes the API server of a cluster."""
    local = [number for turn in range(_TURNS) for number in (*_alike(turn), *_first(turn))]
    return lambda account: ClusterApi(account=account, pods=_PODS, policies=policies, local=local)


def counts(agent: NodeAgent) -> dict[str, int]:
    """Return what an agent reports of policies."""
    found: dict[str, int] = json.loads((agent.state_dir / "agent.json").read_text())["policies"]
    return found


def _added(site: Site, contender: Contender, arguments: list[str]) -> Sample:
    pods = contender.containers([site.pod() for _ in arguments], arguments)
    sample = contender.call("ADD", pods)
    contender.call("DEL", pods)
    return sample


def _rows(taken: dict[str, list[Sample]]) -> Iterator[list[object]]:
    """Yield a row for each kind, compared with a namespace without policies of the same cluster."""
    base = joined(taken[FREE]).milliseconds(0.5)
    for kind, samples in taken.items():
        found = joined(samples)
        median = found.milliseconds(0.5)
        compared = [median / base, median - base]
        yield [kind, median, found.milliseconds(0.9), found.cpu_milliseconds, *compared]
