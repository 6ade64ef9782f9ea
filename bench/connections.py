"""What a new connection of a pod costs with and without the chains that bound them, with many held by the node."""

import os
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.figures import table
from bench.sections import Extent, Results
from lab.namespaces import Namespace
from lab.plugin import InProcess
from lab.rig import Attachment, Rig, configuration
from lab.topology import Site

_HELD = 50_000
_FLOWS, _TURNS = 1500, 40  # of one measurement, and of each pair, all pairs in turn
# Of no host: the router drops what goes there without a word.
_NETWORKS = ("2001:db8:dead::/64", "203.0.114.0/24")
_TARGETS = {"IPv6": "2001:db8:dead::", "IPv4, masqueraded": "203.0.114."}
_PROGRAM = "build/bench/traffic"
_NO_LIMIT = 1_000_000
_TEXT = """
## Connections

UDP from a pod by its node to a router, the first packet of {flows} connections with {held} held on each node:
microseconds of CPU time on all of the way, medians of {turns} measurements and the least of them, all in turn (load
{load:.1f} at the start).
"""


@dataclass(frozen=True)
class _Node:
    """A node with a pod, and the chains that it lacks."""

    name: str
    rig: Rig
    pod: Attachment

    def open(self, host: str, first: int, count: int) -> float:
        """Open connections from the pod; return the microseconds of one."""
        cpu = str(max(os.sched_getaffinity(0)))
        return int(self.pod.pod.command(_PROGRAM, "open", host, str(first), str(count), cpu)) / 1e3

    def hold(self, count: int) -> None:
        """Open so many that last for an hour."""
        self.rig.host.sysctl("netfilter/nf_conntrack_udp_timeout", 3600)
        for target in _TARGETS.values():
            self.open(f"{target}1", 0, count // len(_TARGETS))
        self.rig.host.sysctl("netfilter/nf_conntrack_udp_timeout", 30)


def connections(_: Extent, folder: Path, __: Results) -> Iterator[str]:
    """Measure the first packet of a connection on nodes with all chains, with a part of them, and without."""
    yield _TEXT.format(flows=_FLOWS, held=_HELD, turns=_TURNS, load=os.getloadavg()[0])
    lacking = {"without": ("next_hops", "opened", "arrived"), "without next_hops": ("next_hops",), "all": ()}
    with Site(nodes=len(lacking)) as site:
        site.router.ip(*(f"route add blackhole {network}" for network in _NETWORKS))
        nodes = [_prepared(site, number, folder, name, chains) for number, (name, chains) in enumerate(lacking.items())]
        for node in nodes:
            node.hold(_HELD)
        taken: dict[tuple[str, str], list[float]] = defaultdict(list)
        for turn in range(_TURNS):
            for node in nodes:
                for family, target in _TARGETS.items():
                    taken[node.name, family].append(node.open(f"{target}2", turn * _FLOWS, _FLOWS))
    rows = [
        [
            name,
            *(
                figure
                for family in _TARGETS
                for figure in (statistics.median(taken[name, family]), min(taken[name, family]))
            ),
        ]
        for name in lacking
    ]
    yield from table(["", *(word for family in _TARGETS for word in (family, "least"))], rows)


def _prepared(site: Site, number: int, folder: Path, name: str, lacks: tuple[str, ...]) -> _Node:
    node = site.nodes[number]
    conf = configuration(node, folder / f"connections{number}", firewall={"connectionRate": _NO_LIMIT})
    rig = Rig(site, node, InProcess(node.namespace), conf)
    pod = rig.attach()
    rig.host.nft("".join(f"delete chain inet slash80 {chain}\n" for chain in lacks))
    if "opened" in lacks:
        _unmeter(rig.host)
    return _Node(name, rig, pod)


def _unmeter(host: Namespace) -> None:
    """Delete the rules of chain `hidden` that count."""
    listed = host.command("nft", "-a", "list", "chain", "inet", "slash80", "hidden").splitlines()
    handles = [line.rpartition(" ")[2] for line in listed if " meter " in line or line.strip().startswith("meter ")]
    host.nft("".join(f"delete rule inet slash80 hidden handle {handle}\n" for handle in handles))
