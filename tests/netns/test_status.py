"""`slash80 status` on a node: it names what keeps the node itself from its pods, which no ADD is refused for."""

import json

import pytest

from lab.probes import is_silent, ping
from lab.rig import Rig
from netns.conftest import root

pytestmark = pytest.mark.parametrize("shape", ["served"], indirect=True)  # the command asks the agent too

# What nm-cloud-setup makes for the primary address of a machine, on RHEL and Rocky Linux in clouds.
CLOUD_RULE, CLOUD_ROUTE = "rule add priority 30400 from {} lookup 30400", "route add default via {} table 30400"


def problems(rig: Rig) -> list[str]:
    """Return what is wrong, as `slash80 status` says it."""
    folder = rig.state_dir.with_name("net.d")
    folder.mkdir(exist_ok=True)
    (folder / "05-slash80.conf").write_text(json.dumps(rig.conf))
    words = ["status", "-o", "json", "--state-dir", str(rig.state_dir), "--conf-dir", str(folder)]
    found: list[str] = json.loads(rig.host.command(str(root() / "opt/cni/bin/slash80"), *words))["problems"]
    return found


def do(rig: Rig, digit: str, *lines: str) -> None:
    """Run lines of `ip` on the node, for one family."""
    rig.host.command("ip", f"-{digit}", "-batch", "-", stdin="\n".join(lines) + "\n")


def test_node_that_reaches_its_pods_has_no_problem(rig: Rig) -> None:
    """No problem is shown before its first pod or later, with rules about other sources in place."""
    rig.state_dir.mkdir(exist_ok=True, mode=0o700)
    rig.host.ip("rule add priority 7 from 203.0.113.0/24 lookup 52", "route add default dev eth0 table 52")
    found = problems(rig)
    rig.attach()

    assert [found, problems(rig)] == [[], []]


def test_routing_rule_of_nm_cloud_setup_is_named(rig: Rig) -> None:
    """It keeps the node's own packets out of the pods' routes; the service to disable is named."""
    pod = rig.attach()
    rig.host.ip(CLOUD_RULE.format(rig.node.ipv4), CLOUD_ROUTE.format(rig.node.router4))
    assert is_silent(rig.host, pod.ipv4, source=rig.node.ipv4)
    (problem,) = problems(rig)

    assert f"from the node's {rig.node.ipv4} to its pods" in problem
    assert f"rule '30400: from {rig.node.ipv4}/32 lookup 30400'" in problem
    assert "systemctl disable --now nm-cloud-setup.timer nm-cloud-setup.service" in problem


def test_routing_rule_about_the_nodes_address_is_named(rig: Rig, family: str) -> None:
    """It is named in either family with what to do; one whose table also leads to the pods is not."""
    pod = rig.attach()
    digit = family[-1]
    own, router, pods = (getattr(rig.node, name) for name in (family, f"router{digit}", f"prefix{digit}"))
    do(rig, digit, f"rule add priority 7 from {own} lookup 52", f"route add default via {router} table 52")
    (problem,) = problems(rig)
    do(rig, digit, f"rule add priority 6 to {pods} lookup main")

    assert f"rule '7: from {own}/" in problem
    assert "delete that rule, or put one before it" in problem
    assert problems(rig) == []
    assert ping(rig.host, getattr(pod, family), source=own) == 1


def test_node_without_ipv4_is_reported(rig: Rig) -> None:
    """Its packets to pods would have no source; an address on the loopback link is enough."""
    pod = rig.attach()
    rig.host.ip("addr flush dev eth0 scope global", "addr add 192.0.2.2/28 dev eth0 scope link")
    assert is_silent(rig.host, pod.ipv4)
    (problem,) = problems(rig)
    rig.host.ip("addr add 10.255.0.1/32 dev lo")

    assert "the node has no IPv4 address" in problem
    assert problems(rig) == []
    assert ping(rig.host, pod.ipv4) == 1


def test_node_without_ipv4_and_without_ipv4_pods_is_fine(rig: Rig) -> None:
    """There is nothing that the node could not reach by IPv4."""
    rig = rig.having(ipv4=None)
    rig.attach()
    rig.host.ip("addr flush dev eth0 scope global")

    assert problems(rig) == []
