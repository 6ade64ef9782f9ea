"""Rules of others that lead pods' packets astray are named by ADD and CHECK; those that do no harm are let be."""

import pytest

from lab import snapshot, state
from lab.plugin import Json
from lab.probes import Server, source_seen
from lab.rig import Rig, changed
from lab.topology import INTERNET4, INTERNET6


def policy(rig: Rig, family: str, *lines: str) -> None:
    """Add rules and routes of a family; `PODS` stands for its range of pods."""
    pods = getattr(rig.node, f"prefix{family[-1]}")
    for line in lines:
        rig.host.command("ip", f"-{family[-1]}", *line.replace("PODS", pods).split())


def add_refused(rig: Rig) -> Json:
    """ADD that must fail and leave nothing."""
    pod, before = rig.site.pod(), snapshot.take(rig.host)
    error = rig.plugin.refuses("ADD", rig.conf, netns=pod)
    assert [] == snapshot.difference(before, snapshot.take(rig.host))
    assert ["lo"] == [link["ifname"] for link in pod.query("link show")]
    assert (0, 0) == (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir))
    return error


# What a rule says of the pods' range, and the route of table 52, if any, with words of the message.
ASTRAY = {
    "to another link": ("to PODS lookup 52", "default dev eth0", "lookup 52' sends them to route default dev eth0"),
    "into a hole": ("to PODS lookup 52", "blackhole default", "sends them to route blackhole default"),
    "to be refused": ("to PODS lookup 52", "unreachable default", "sends them to route unreachable default"),
    "to be refused by the rule": ("to PODS prohibit", "", "prohibit' discards them"),
    "from pods into a hole": ("from PODS lookup 52", "blackhole default", "sends them to route blackhole default"),
    "from pods to be refused": ("from PODS lookup 52", "prohibit default", "sends them to route prohibit default"),
    "from pods to be refused by the rule": ("from PODS unreachable", "", "unreachable' discards them"),
}


@pytest.mark.parametrize(("rule", "route", "words"), ASTRAY.values(), ids=ASTRAY.keys())
def test_routing_rule_that_diverts_pods_is_named(rig: Rig, family: str, rule: str, route: str, words: str) -> None:
    """The error has the rule's number and route, and no advice to delete the pod; ADD works once the rule is gone."""
    rig.cycle()
    policy(rig, family, f"rule add priority 7 {rule}", *([f"route add {route} table 52"] if route else []))
    error = add_refused(rig)
    assert 102 == error["code"]
    policy(rig, family, "rule del priority 7")
    pod = rig.attach()
    policy(rig, family, f"rule add priority 7 {rule}")
    told = rig.plugin.refuses("CHECK", changed(rig.conf, prevResult=pod.result), netns=pod.pod)

    assert 102 == told["code"]
    for message in (error["msg"], told["msg"]):
        assert "rule '7: from " in message
        assert words in message
        assert "delete the pod" not in message


def test_first_pod_of_a_node_is_refused_for_a_routing_rule(rig: Rig, family: str) -> None:
    """The node has no discard route for its prefix yet, and the rule is still noticed."""
    policy(rig, family, "rule add priority 7 to PODS lookup 52", "route add default dev eth0 table 52")

    assert "rule '7: from all to" in rig.plugin.refuses("ADD", rig.conf, netns=rig.site.pod())["msg"]


def test_sysctl_that_blocks_a_pods_egress_is_named(rig: Rig) -> None:
    """The error has the name of the setting."""
    pod = rig.attach()
    rig.host.sysctl(f"ipv4/conf/{pod.host_ifname}/forwarding", 0)
    error = rig.plugin.refuses("CHECK", changed(rig.conf, prevResult=pod.result), netns=pod.pod)

    assert 999 == error["code"]
    assert f"net/ipv4/conf/{pod.host_ifname}/forwarding is 0; set it to 1" in error["msg"]


def test_check_reports_the_pod_beside_a_routing_rule(rig: Rig, family: str) -> None:
    """The pod's own damage is in the details, since deleting the pod does not help while the rule is there."""
    attachment = rig.attach()
    attachment.pod.ip("neigh del fe80::1 dev eth0")
    policy(rig, family, "rule add priority 7 to PODS prohibit")
    error = rig.plugin.refuses("CHECK", changed(rig.conf, prevResult=attachment.result), netns=attachment.pod)

    assert "prohibit' discards them" in error["msg"]
    assert "neighbour fe80::1 of eth0 is missing" in error["details"]


HARMLESS = {
    "a table that has nothing for pods": ["rule add priority 7 lookup 52", "route add WIDE dev eth0 table 52"],
    "a tunnel beside table main": [
        "rule add priority 7 lookup main suppress_prefixlength 0",
        "rule add priority 8 not fwmark 0xca6c lookup 52",
        "route add default via ROUTER dev eth0 table 52",
    ],
    "an uplink of their own": ["rule add priority 7 from PODS lookup 52", "route add default via ROUTER table 52"],
    "a throw": ["rule add priority 7 from PODS lookup 52", "route add throw default table 52"],
    "marked packets": ["rule add priority 7 fwmark 1 lookup 52", "route add local default dev lo table 52"],
    "packets of another link": ["rule add priority 7 iif eth9 to PODS prohibit"],
    "a rule after main": ["rule add priority 40000 prohibit"],
}


@pytest.mark.parametrize("lines", HARMLESS.values(), ids=HARMLESS.keys())
def test_harmless_routing_rules_are_ignored(rig: Rig, family: str, lines: list[str]) -> None:
    """Tunnels, proxies and nodes with several uplinks have such rules."""
    routers = {"ipv6": (rig.node.router6, "2001:db8:5::/48"), "ipv4": (rig.node.router4, "203.0.113.128/25")}
    router, wide = routers[family]
    policy(rig, family, *(line.replace("ROUTER", router).replace("WIDE", wide) for line in lines))
    attachment = rig.attach()
    rig.plugin.check(attachment.pod, rig.conf, attachment.result)

    outside, own = {"ipv6": (INTERNET6, rig.node.ipv6), "ipv4": (INTERNET4, rig.node.ipv4)}[family]
    with Server(attachment.pod), Server(rig.site.internet):
        assert own == source_seen(rig.host, getattr(attachment, family))
        assert (attachment.ipv6 if family == "ipv6" else own) == source_seen(attachment.pod, outside)


def test_node_without_a_default_route_has_pods(rig: Rig) -> None:
    """A default route that the node itself lacks is not demanded for its pods."""
    for version in "46":
        rig.host.command("ip", f"-{version}", "route", "del", "default")
    attachment = rig.attach()

    rig.plugin.check(attachment.pod, rig.conf, attachment.result)
