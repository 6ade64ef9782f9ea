"""A whole agent in a large cluster with NetworkPolicies: its memory, its start, and when a change is in the kernel."""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench import cluster
from bench.admission import counts
from bench.agents import caller_of
from bench.api import ClusterApi
from bench.contenders import RANGE4
from bench.figures import percentile, table
from bench.sections import Extent, Results
from lab.kube import PODS, FakeApi
from lab.namespaces import Namespace
from lab.node_agent import NodeAgent, node_agent
from lab.topology import Site
from lab.waiting import wait_until
from slash80.firewall.messages import NFNLGRP_NFTABLES
from slash80.netlink.constants import NETLINK_NETFILTER
from slash80.netlink.socket import Socket

_SIZES, _POLICIES, _LOCAL = (10_000, 100_000), 1000, 108
_TURNS, _REST = 100, 0.25  # seconds, after which a change does not wait for the one before
_TEXT = """
## Agents in large clusters

{policies} policies in {namespaces} namespaces, {local} pods on the node, and an API server in another process, whose
pods have 4 KB each as JSON. MiB are the agent's proportional set size, all its processes together, with all policies in
force, and the most that its first process had at any time, which is while it lists. `start` are the seconds from the
start of the program until the policies of the node are in force, and of CPU meanwhile. Then {turns} pods of other nodes
get other addresses, one by one: ms from the API's event to the kernel's notification (load {load:.1f} at the start).
"""


def scale(extent: Extent, folder: Path, _: Results) -> Iterator[str]:
    """Measure one agent in clusters of several sizes."""
    yield _TEXT.format(
        policies=_POLICIES, namespaces=cluster.NAMESPACES, local=_LOCAL, turns=_TURNS, load=os.getloadavg()[0]
    )
    rows = [[f"{size} pods", *_measured(size, folder / str(size), extent.callers)] for size in _SIZES]
    yield from table(["", "MiB", "most", "start s", "CPU s", "a pod, p50", "p99", "slowest"], rows)


def _measured(size: int, folder: Path, callers: int) -> list[float]:
    root = Path(os.environ["SLASH80_ROOT"])
    with Site() as site, node_agent(site.node, root, folder, prefix4=RANGE4, make_api=_api(size)) as agent:
        in_force = partial(_in_force, agent)
        wait_until(in_force, seconds=300)
        caller = caller_of(site.node, agent, agent.conf())
        arguments = [cluster.named(number).arguments for number in range(_LOCAL)]
        caller.call("ADD", caller.containers([site.pod() for _ in arguments], arguments), callers=callers)
        wait_until(lambda: counts(agent)["isolated"] == _LOCAL)
        assert agent.stop() == 0
        began = time.monotonic()
        agent.start()
        wait_until(lambda: in_force() and counts(agent)["isolated"] == _LOCAL, seconds=300)
        start, cpu = time.monotonic() - began, caller.agent_cpu() / 1e6
        took = list(_changes(site.node.namespace, agent, size))
        memory, most = agent.memory() / 1024, _most(agent.pids[0])
    return [memory, most, start, cpu, *(percentile(took, share) / 1e6 for share in (0.5, 0.99, 1))]


def _api(size: int) -> Callable[[Path], FakeApi]:
    return lambda account: ClusterApi(account=account, pods=size, policies=_POLICIES, local=range(_LOCAL))


def _in_force(agent: NodeAgent) -> bool:
    return counts(agent)["policies"] == _POLICIES


def _changes(node: Namespace, agent: NodeAgent, size: int) -> Iterator[int]:
    """Yield the nanoseconds that each change took; the pods are of a tier that policies everywhere let in."""
    assert isinstance(agent.api, ClusterApi)
    with node.run(Socket, NETLINK_NETFILTER) as listener:
        listener.subscribe(NFNLGRP_NFTABLES)
        odd = [number for number in range(size - 1, 0, -1) if number // cluster.NAMESPACES % 2]
        for turn, number in enumerate(odd[:_TURNS]):
            time.sleep(_REST)
            new = cluster.addresses(size + turn)[1].packed
            told = agent.api.put_at(PODS, cluster.document(number, at=size + turn))
            heard = listener.notifications()
            while not any(new in one.body for one in heard):
                assert heard, f"a change of pod {number} did not come to the kernel"
                heard = listener.notifications()
            yield time.monotonic_ns() - told


def _most(pid: int) -> float:
    """Return the MiB that a process had resident at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
