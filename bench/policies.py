"""What NetworkPolicies cost a node's controller: memory, its start, and the time from a change to the kernel.

The objects are those that the informers keep. The API and its messages are left out: with them it is in `scale`.
"""

import gc
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from bench import cluster
from bench.figures import table
from bench.sections import Extent, Results
from lab.namespaces import Namespace, unique_name
from slash80.cluster.objects.namespace import read_namespace
from slash80.cluster.objects.networkpolicy import read_network_policy
from slash80.cluster.objects.pod import read_pod
from slash80.firewall.policies.table import PolicyTable
from slash80.policy.compile import Compiler
from slash80.policy.diff import added, diff
from slash80.policy.model import Endpoint
from slash80.policy.records import PolicyRules

_PODS, _POLICIES, _LOCAL = (10_000, 100_000), 1000, 250
_TURNS, _OF_ONE = 100, 100  # turns of each change, and local pods of one namespace
_TEXT = """
## NetworkPolicies

{policies} policies in {namespaces} namespaces, and a node with {local} of the pods, {of_one} of one namespace. MiB
are what all objects and their rules take of a process, `start` the seconds from complete lists to the loaded table. The
others are ms from an event to the kernel: of {turns} pods that get other addresses, of asking for a pod at ADD that
needs new chains, and of {turns} policies that change, the slowest with the number of pods that it touched (load
{load:.1f} at the start).
"""


def policies(_: Extent, __: Path, ___: Results) -> Iterator[str]:
    """Measure clusters of several sizes, each in a process and a network namespace of its own."""
    yield _TEXT.format(
        policies=_POLICIES,
        namespaces=cluster.NAMESPACES,
        local=_LOCAL,
        of_one=_OF_ONE,
        turns=_TURNS,
        load=os.getloadavg()[0],
    )
    rows = []
    for count in _PODS:
        node = Namespace.create(unique_name())
        try:
            said = json.loads(node.command(sys.executable, "-m", "bench.policies", str(count)))
        finally:
            node.delete()
        rows.append([f"{count} pods", *said.values()])
    yield from table(["", *said], rows)


class _Cluster:
    """A cluster's objects as the informers keep them."""

    def __init__(self, count: int) -> None:
        self.namespaces = [read_namespace(one) for one in cluster.namespaces()]
        self.pods = [read_pod(json.loads(cluster.pod(number))) for number in range(count)]
        self.policies = [read_network_policy(one) for one in cluster.Policies().made(_POLICIES)]


class _Node:
    """The controller's part for policies, as it compiles and applies."""

    def __init__(self, known: _Cluster) -> None:
        self.cluster, self.compiler, self.table = known, Compiler(), PolicyTable()
        of_one = known.pods[:: cluster.NAMESPACES][:_OF_ONE]
        others = [pod for pod in known.pods[: 2 * _LOCAL] if pod.namespace != of_one[0].namespace][: _LOCAL - _OF_ONE]
        self.local = [Endpoint(f"s80p{n:08}", pod.addresses, pod) for n, pod in enumerate(of_one + others)]
        self.applied = PolicyRules()

    def start(self) -> None:
        """Take over complete lists, and load the table."""
        self.compiler.update(
            pods=((None, pod) for pod in self.cluster.pods),
            namespaces=((None, one) for one in self.cluster.namespaces),
            policies=((None, one) for one in self.cluster.policies),
        )
        self.applied = self.compiler.rules(self.local)
        self.table.replace(self.applied)

    def pod_changes(self, turn: int) -> None:
        """Have a pod of another node get other addresses."""
        place = -1 - turn
        old = self.cluster.pods[place]
        new = self.cluster.pods[place] = replace(old, addresses=cluster.addresses(len(self.cluster.pods) + turn))
        self.compiler.update(pods=[(old, new)])
        self._apply()

    def policy_changes(self, turn: int) -> int:
        """Have a policy lose its rules for ingress; return how many pods have another chain afterwards."""
        old = self.cluster.policies[turn]
        self.compiler.update(policies=[(old, replace(old, ingress=()))])
        return self._apply()

    def asked(self, turn: int) -> None:
        """Apply what a pod needs that is being added."""
        pod = self.cluster.pods[-1 - _TURNS - turn]
        self.table.apply(added(self.applied, self.compiler.rules_of(Endpoint(f"s80q{turn:08}", pod.addresses, pod))))

    def _apply(self) -> int:
        wanted = self.compiler.rules(self.local)
        plan = diff(self.applied, wanted)
        self.table.apply(plan)
        self.applied = wanted
        return len({key.ifname for key in plan.verdicts})


def _timed(act: Callable[[int], object]) -> list[tuple[float, object]]:
    """Return the milliseconds of each turn, and what it returned."""
    found = []
    for turn in range(_TURNS):
        started = perf_counter()
        said = act(turn)
        found.append(((perf_counter() - started) * 1e3, said))
    return found


def _mebibytes() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def main(count: int) -> None:
    """Measure one cluster in this process's network namespace, and print it."""
    before = _mebibytes()
    node = _Node(_Cluster(count))
    started = perf_counter()
    node.start()
    seconds = perf_counter() - started
    pods, asks = [took for took, _ in _timed(node.pod_changes)], [took for took, _ in _timed(node.asked)]
    changes = _timed(node.policy_changes)
    slowest, touched = max(changes)
    figures = {
        "MiB": _mebibytes() - before,
        "start s": seconds,
        "a pod, p50": statistics.median(pods),
        "p99": sorted(pods)[-2],
        "ADD, p50": statistics.median(asks),
        "policy, p50": statistics.median(took for took, _ in changes),
        "slowest": slowest,
        "touched": touched,
    }
    node.table.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]))
