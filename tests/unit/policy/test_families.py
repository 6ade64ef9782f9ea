"""Generated policies mean what stands beside each of their parts, for both readings and in both families."""

from functools import cache
from itertools import product

import pytest

from policy.cases import Step
from policy.cluster import NAMES, at, endpoints, flow
from policy.families import PEERS, PORTS, Peers, policy
from policy.packets import PROTOCOLS, Wall
from slash80.policy.compile import compile_rules
from slash80.policy.evaluate import Oracle
from slash80.policy.model import Flow, Snapshot


@cache
def _probes(direction: str) -> list[tuple[tuple[str, str], tuple[int, str], Flow]]:
    """Return each other pod, each port and protocol, and the flow between that pod and x/a."""
    found = []
    for name, port, protocol, version in product(NAMES[1:], (80, 81), PROTOCOLS, (4, 6)):
        ends = ("/".join(name), "x/a") if direction == "ingress" else ("x/a", "/".join(name))
        found.append((name, (port, protocol.upper()), flow(*ends, port, PROTOCOLS[protocol], version)))
    return found


@pytest.mark.parametrize("direction", ["ingress", "egress"])
@pytest.mark.parametrize("peers", PEERS, ids=str)
def test_a_generated_policy_means_what_its_parts_mean(peers: Peers, direction: str) -> None:
    """A flow is allowed exactly if the other pod is one of the peers and its port one of the ports."""
    for ports in PORTS[:: 4 if len(peers.entries or ()) > 1 else 1]:
        snapshot = at(Step({"x/p": policy(direction, peers, ports)}, ()))
        oracle, wall = Oracle(snapshot), Wall(compile_rules(snapshot, endpoints(snapshot)), endpoints(snapshot))
        for pod, port, one in _probes(direction):
            found = oracle.verdict(one).allowed, wall.allows(one)
            expected = peers.means(*pod) and ports.means(*port)
            assert (ports.name, one, (expected, expected)) == (ports.name, one, found)


_ALL = {
    "by-rule": {},
    "by-pods": {"from": [{"namespaceSelector": {}}]},
    "by-block": {"from": [{"ipBlock": {"cidr": "$x/a/0"}}]},
}


@pytest.mark.parametrize("deny", ["before", "after"])
@pytest.mark.parametrize("rule", _ALL.values(), ids=_ALL)
def test_of_policies_that_conflict_the_allowing_one_wins(rule: dict[str, object], deny: str) -> None:
    """Whether it allows by pods, by addresses or by an empty rule, and whichever of the two is first."""
    allow = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]}
    nothing = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []}
    names = ("x/a", "x/b") if deny == "before" else ("x/b", "x/a")
    snapshot: Snapshot = at(Step(dict(zip(names, (nothing, allow), strict=True)), ()))
    wall = Wall(compile_rules(snapshot, endpoints(snapshot)), endpoints(snapshot))

    for version in (4, 6):
        one = flow("y/b", "x/a", version=version)
        assert Oracle(snapshot).verdict(one).allowed
        assert wall.allows(one)
