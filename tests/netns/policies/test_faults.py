"""Rules with a fault are found by packets; and rules that change under traffic lose nothing and let nothing in."""

import itertools
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network

import pytest

from policy.cluster import ANYTHING, endpoints, labelled, rule, tcp
from policy.crossing import Crossing, addresses, ifname
from policy.strategies import every_flow
from slash80.addressing.ports import UDP
from slash80.firewall.policies.table import PolicyTable
from slash80.policy.compile import compile_rules
from slash80.policy.diff import diff
from slash80.policy.evaluate import Oracle
from slash80.policy.model import (
    Block,
    Endpoint,
    Flow,
    NamedPort,
    Namespace,
    Pod,
    Policy,
    Ports,
    Selected,
    Selector,
    Snapshot,
)
from slash80.policy.records import ACCEPT, PolicyRules

FLOWS = [one for one in every_flow() if one.source != one.destination]
_HOSTS = range(1, 8)


class Node:
    """A node with policies in force, of which each follows the one before."""

    def __init__(self, crossing: Crossing) -> None:
        self.crossing, self.table = crossing, PolicyTable()
        self._applied = PolicyRules()
        self.replace(self._applied)

    def replace(self, rules: PolicyRules) -> None:
        """Have these rules and nothing else."""
        self.crossing.node.run(self.table.replace, rules)
        self._applied = rules

    def enforce(self, rules: PolicyRules) -> None:
        """Have these rules, by a plan that leads there from those before."""
        self.crossing.node.run(self.table.apply, diff(self._applied, rules))
        self._applied = rules

    def wrong(self, snapshot: Snapshot) -> list[Flow]:
        """Return the flows of which packets did something else than the oracle says."""
        return sorted(_allowed(snapshot) ^ self.crossing.arriving(FLOWS), key=str)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """Provide a node with its hosts."""
    with Crossing() as crossing:
        node = Node(crossing)
        try:
            yield node
        finally:
            node.table.close()


def _allowed(snapshot: Snapshot) -> set[Flow]:
    oracle = Oracle(snapshot)
    return {flow for flow in FLOWS if oracle.verdict(flow).allowed}


def _rules(snapshot: Snapshot) -> PolicyRules:
    """Return the rules of a cluster whose pods are the hosts."""
    pods = {address: one.pod for one in endpoints(snapshot) for address in one.addresses}
    return compile_rules(
        snapshot, [Endpoint(ifname(host), (one,), pods.get(one)) for host in _HOSTS for one in addresses(host)]
    )


def _pod(host: int, app: str) -> Pod:
    return Pod("n1", f"p{host}", labels={"app": app}, addresses=addresses(host), ports={("dns", UDP): 80 + host % 2})


def _cluster(*labels: str) -> Snapshot:
    """Return a cluster with a pod at each host, one label each, and policies of every kind."""
    of_web, of_db = (Selected(pods=labelled(app=app)) for app in ("web", "db"))
    policies = (
        Policy("n1", "db", labelled(app="db"), ingress=(rule(of_web, ports=(tcp(80, 81),)),)),
        Policy(
            "n1",
            "web",
            labelled(app="web"),
            ingress=(rule(of_db), rule(Block(ip_network("10.80.1.4/30")), Block(ip_network("2001:db8::4/126")))),
            egress=(
                rule(Selected(pods=ANYTHING), ports=(NamedPort(UDP, "dns"), Ports(UDP, 79))),
                rule(ports=(tcp(80, 82),)),
            ),
        ),
        Policy("n1", "all", Selector((("app", "none"),)), ingress=(), egress=()),
    )
    pods = tuple(_pod(host, app) for host, app in enumerate(labels, 1))
    return Snapshot(pods, {"n1": Namespace("n1")}, policies)


FIRST = _cluster("web", "db", "web", "db", "none", "other")
MUTATIONS: dict[str, Callable[[str, str], str]] = {
    "another port": lambda _, one: one.replace("dport 80", "dport 79"),
    "another protocol": lambda _, one: one.replace("udp", "sctp"),
    "any peer": lambda _, one: re.sub(r"ip6? [sd]addr @a\S+ ", "", one),
    "the other end": lambda _, one: one.replace("saddr @", "daddr @"),
    "drops nothing": lambda _, one: one.replace("goto dropped_egress", "accept"),
    "a family is left open": lambda name, one: "accept" if "6-" in name else one,
}


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_fault_of_the_rules_is_found(node: Node, mutation: Callable[[str, str], str]) -> None:
    """Rules that are wrong in one way let packets do what the oracle does not say."""
    rules = _rules(FIRST)
    node.enforce(rules)
    assert [] == node.wrong(FIRST)
    chains = {name: tuple(mutation(name, one) for one in found) for name, found in rules.chains.items()}
    assert chains != rules.chains
    node.replace(replace(rules, chains=chains))

    try:
        assert node.wrong(FIRST)
    finally:
        node.replace(rules)


def test_a_key_too_much_is_found(node: Node) -> None:
    """A pod that is led to no chain does what its policies forbid."""
    rules = _rules(FIRST)
    key = next(key for key, verdict in rules.verdicts.items() if verdict != ACCEPT)
    node.enforce(replace(rules, verdicts={**rules.verdicts, key: ACCEPT}))

    assert node.wrong(FIRST)


@contextmanager
def _changing(node: Node, states: list[PolicyRules]) -> Iterator[list[int]]:
    """Have one state after the other in force meanwhile, by another thread; yield the turns that there were."""
    turns: list[int] = []
    ended = threading.Event()

    def change() -> None:
        for number in itertools.count(1):
            if ended.is_set():
                return
            node.enforce(states[number % len(states)])
            turns.append(number)

    with ThreadPoolExecutor(max_workers=1) as pool:
        changing = pool.submit(change)
        try:
            yield turns
        finally:
            ended.set()
        changing.result()


def test_changes_under_traffic_lose_nothing_and_let_nothing_in(node: Node) -> None:
    """While rules change without end, what all of them allow always arrives, and what none allows never does."""
    states = [
        FIRST,
        _cluster("web", "web", "db", "db", "none", "other"),  # members of sets and verdicts
        _cluster("db", "db", "web", "none", "web", "other"),
        replace(
            FIRST, policies=(*FIRST.policies[1:], Policy("n1", "more", ANYTHING, egress=(rule(),)))
        ),  # other chains
    ]
    always, ever = set(FLOWS), set[Flow]()
    for state in states:
        allowed = _allowed(state)
        always &= allowed
        ever |= allowed
    assert always
    assert ever != set(FLOWS)
    node.enforce(_rules(FIRST))

    with _changing(node, [_rules(state) for state in states]) as turns:
        while len(turns) < 40:
            arrived = node.crossing.arriving(FLOWS)
            assert arrived <= ever
            assert always <= arrived
    node.enforce(_rules(FIRST))
    assert [] == node.wrong(FIRST)
