"""What NetworkPolicies cost packets: two pods of a node beside 248 others with a policy each, and two without any."""

import os
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

from bench.figures import percentile, table
from bench.sections import Extent, Results
from lab.plugin import InProcess
from lab.rig import Attachment, Rig, configuration
from lab.topology import Site
from slash80.addressing.family import Address
from slash80.addressing.ports import TCP, UDP
from slash80.firewall.policies.table import PolicyTable
from slash80.policy.compile import compile_rules
from slash80.policy.model import Block, Endpoint, Pod, Policy, Ports, Rule, Selected, Selector, Snapshot
from slash80.policy.model import Namespace as PodNamespace

_PODS, _ELSEWHERE, _PEERS = 250, 5000, 40
_TURNS, _ROUND_TRIPS, _CONNECTIONS = 9, 10_000, 1500
_PORT = 4242
_PROGRAM = "build/bench/traffic"
_TEXT = """
## Packets under NetworkPolicies

IPv6 between two pods of a node with {pods} pods and as many policies, of which each allows one pod's ingress and egress
{peers} of {elsewhere} other pods, a range of addresses and some ports; and between two pods of a node without policies.
Medians of {turns} measurements, and the best of them, both in turn (load {load:.1f} at the start): microseconds of a
round trip of UDP and of a byte over TCP, and of a TCP connection that is opened, asked, answered and closed, all with
both ends on one CPU; and milliseconds of a megabyte of a TCP stream between two.
"""


@dataclass(frozen=True)
class _Pair:
    """Two pods of a node."""

    rig: Rig
    asks: Attachment
    answers: Attachment

    def printed(self, what: str, *words: str) -> list[int]:
        """Run the program in the pod that asks."""
        where = (str(self.answers.pod.path), self.answers.ipv6, str(_PORT))
        return [int(line) for line in self.asks.pod.command(_PROGRAM, what, *where, *words).split()]

    def measured(self) -> tuple[float, ...]:
        """Return one measurement of each kind."""
        one, other = (str(cpu) for cpu in sorted(os.sched_getaffinity(0))[-2:])
        udp, tcp = (self.printed("rr", str(_ROUND_TRIPS), how, one, one)[:-1] for how in ("block", "tcp"))
        opened = self.printed("connect", str(_CONNECTIONS), one, one)
        rate, _ = self.printed("stream", "0.5", other, one)
        return (*(percentile(took, 0.5) / 1e3 for took in (udp, tcp, opened)), 1e9 / rate)


def policed(_: Extent, folder: Path, __: Results) -> Iterator[str]:
    """Measure packets between pods of a node with policies, and of one without."""
    load = os.getloadavg()[0]
    yield _TEXT.format(pods=_PODS, peers=_PEERS, elsewhere=_ELSEWHERE, turns=_TURNS, load=load)
    names = ("without policies", "with policies")
    with Site(nodes=len(names)) as site:
        pairs = {name: _pair(site, number, folder) for number, name in enumerate(names)}
        _enforce(pairs["with policies"])
        taken: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        for _turn in range(_TURNS):
            for name, pair in pairs.items():
                taken[name].append(pair.measured())
    rows = [
        (f"{name}, {word}", [choose(kind) for kind in zip(*taken[name], strict=True)])
        for word, choose in (("median", statistics.median), ("best", min))
        for name in names
    ]
    yield from table(
        ["", "UDP us", "TCP us", "connection us", "stream ms/MB"],
        [row for without, enforced in (rows[:2], rows[2:]) for row in _compared(without, enforced)],
    )


def _compared(without: tuple[str, list[float]], enforced: tuple[str, list[float]]) -> Iterator[list[object]]:
    """Yield both rows, and what they differ by."""
    yield from ([name, *found] for name, found in (without, enforced))
    pairs = zip(without[1], enforced[1], strict=True)
    yield ["difference", *(f"{100 * (after / before - 1):+.1f} %" for before, after in pairs)]


def _pair(site: Site, number: int, folder: Path) -> _Pair:
    node = site.nodes[number]
    conf = configuration(node, folder / f"policed{number}", firewall={"connectionRate": 1_000_000})
    rig = Rig(site, node, InProcess(node.namespace), conf)
    return _Pair(rig, rig.attach(), rig.attach())


def _enforce(pair: _Pair) -> None:
    """Have all policies in force on the node of a pair."""
    real = [(one.host_ifname, tuple(map(ip_address, one.addresses))) for one in (pair.asks, pair.answers)]
    others = [(f"s80bench{number}", _addresses(number)) for number in range(_PODS - len(real))]
    local = [*others[: _PODS // 2], *real, *others[_PODS // 2 :]]
    pods = [_pod(number, addresses) for number, (_, addresses) in enumerate(local)]
    pods += [_pod(number, _addresses(number)) for number in range(_PODS, _PODS + _ELSEWHERE)]
    policies = tuple(map(_policy, range(_PODS)))
    snapshot = Snapshot(tuple(pods), {"bench": PodNamespace("bench")}, policies)
    endpoints = [Endpoint(ifname, addresses, pod) for (ifname, addresses), pod in zip(local, pods, strict=False)]
    policy_table = PolicyTable(31)
    try:
        pair.rig.host.run(policy_table.replace, compile_rules(snapshot, endpoints))
    finally:
        policy_table.close()


def _addresses(number: int) -> tuple[Address, ...]:
    return ip_address("10.64.0.0") + number, ip_address("2001:db8:64::") + number


def _pod(number: int, addresses: tuple[Address, ...]) -> Pod:
    """Return a pod; the two that are there belong to each other's peers, as all of one number modulo 125."""
    labels = {"name": f"pod{number}", "app": f"app{number % (_ELSEWHERE // _PEERS)}"}
    return Pod("bench", f"pod{number}", labels=labels, addresses=addresses)


def _policy(number: int) -> Policy:
    subject = Selector((("name", f"pod{number}"),))
    peers = [Selected(pods=Selector((("app", f"app{app % 125}"),))) for app in (number, number + 1, number - 1)]
    closed = Rule((Block(ip_network("203.0.113.0/24"), (ip_network("203.0.113.7/32"),)),), (Ports(TCP, 443, 443),))
    ports = (Ports(TCP, 8080, 8080), Ports(TCP, _PORT, _PORT), Ports(UDP, _PORT, _PORT))
    rules = (closed, Rule(tuple(peers[1:2]), (Ports(TCP, 9090, 9099),)), Rule(tuple(peers), ports))
    return Policy("bench", f"policy{number}", subject, rules, rules)
