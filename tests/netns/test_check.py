"""CHECK passes right after ADD, finds what was broken, and tolerates what others may change."""

import contextlib
import sqlite3
from collections.abc import Callable

import pytest

from lab import snapshot
from lab.rig import Attachment, Rig, changed
from lab.waiting import wait_until

VERSIONS = ("0.4.0", "1.0.0", "1.1.0")

# Every object that ADD makes, and how it is removed, changed or overridden: where, by which `ip` commands, and how the
# message names it.
Damage = tuple[str, list[str], str]
DAMAGES: dict[str, Callable[[Attachment], Damage]] = {
    "host end removed": lambda a: ("host", [f"link del {a.host_ifname}"], f"host end {a.host_ifname} is missing"),
    "host end renamed": lambda a: (
        "host",
        [f"link set {a.host_ifname} down", f"link set {a.host_ifname} name other"],  # Linux before 6.2 needs it down
        f"{a.host_ifname} is missing",
    ),
    "host end down": lambda a: ("host", [f"link set {a.host_ifname} down"], f"host end {a.host_ifname} is down"),
    "host end in another group": lambda a: ("host", [f"link set {a.host_ifname} group 5"], "is in group 5"),
    "host end with another alias": lambda a: ("host", [f"link set {a.host_ifname} alias x"], "has the alias 'x'"),
    "host end with another MAC": lambda a: (
        "host",
        [f"link set {a.host_ifname} address 02:00:00:00:00:99"],
        "has the MAC 02:00:00:00:00:99",
    ),
    "gateway removed, IPv6": lambda a: (
        "host",
        [f"addr del fe80::1/64 dev {a.host_ifname}"],
        "address fe80::1 is missing",
    ),
    "gateway removed, IPv4": lambda a: (
        "host",
        [f"addr del 169.254.1.1/32 dev {a.host_ifname}"],
        "169.254.1.1 is missing",
    ),
    "gateway changed, IPv4": lambda a: (
        "host",
        [f"addr del 169.254.1.1/32 dev {a.host_ifname}", f"addr add 169.254.1.1/32 dev {a.host_ifname}"],
        "169.254.1.1 is missing or changed",
    ),
    "host route removed, IPv6": lambda a: ("host", [f"route del {a.ipv6} dev {a.host_ifname}"], f"{a.ipv6}/128"),
    "host route removed, IPv4": lambda a: ("host", [f"route del {a.ipv4} dev {a.host_ifname}"], f"{a.ipv4}/32"),
    "host route changed, IPv6": lambda a: ("host", [f"route change {a.ipv6} dev eth0"], f"{a.ipv6}/128"),
    "host route changed, IPv4": lambda a: ("host", [f"route change blackhole {a.ipv4}"], f"{a.ipv4}/32"),
    "host route of another program": lambda a: (
        "host",
        [f"route change {a.ipv4} dev {a.host_ifname} proto static"],
        "has protocol 4 instead of 180",
    ),
    "host route doubled, IPv6": lambda a: ("host", [f"route append {a.ipv6} dev eth0"], f"{a.ipv6}/128"),
    "host route overridden, IPv6": lambda a: ("host", [f"route add {a.ipv6} dev eth0 metric 1"], "is overridden"),
    "pod's address taken by the node": lambda a: ("host", [f"addr add {a.ipv6}/128 dev lo nodad"], "is overridden"),
    "pod's end removed": lambda _: ("pod", ["link del eth0"], "is missing"),
    "pod's end renamed": lambda _: ("pod", ["link set eth0 down", "link set eth0 name other"], "eth0 is missing"),
    "pod's end down": lambda _: ("pod", ["link set eth0 down"], "interface eth0 is down"),
    "pod's end with another MAC": lambda _: (
        "pod",
        ["link set eth0 address 02:00:00:00:00:98"],
        "interface eth0 has the MAC",
    ),
    "pod's address removed, IPv6": lambda a: ("pod", [f"addr del {a.ipv6}/128 dev eth0"], f"{a.ipv6}/128 is missing"),
    "pod's address removed, IPv4": lambda a: ("pod", [f"addr del {a.ipv4}/32 dev eth0"], f"{a.ipv4}/32 is missing"),
    "pod's address changed, IPv4": lambda a: (
        "pod",
        [f"addr del {a.ipv4}/32 dev eth0", f"addr add {a.ipv4}/24 dev eth0"],
        f"{a.ipv4}/32 is missing",
    ),
    "pod's default route removed, IPv6": lambda _: (
        "pod",
        ["route del default via fe80::1 dev eth0"],
        "route ::/0 via fe80::1",
    ),
    "pod's default route removed, IPv4": lambda _: ("pod", ["route del default"], "route 0.0.0.0/0 via 169.254.1.1"),
    "pod's default route changed, IPv4": lambda _: (
        "pod",
        ["route change default via 169.254.1.2 dev eth0 onlink"],
        "route 0.0.0.0/0 via 169.254.1.1",
    ),
    "pod's neighbour removed, IPv6": lambda _: (
        "pod",
        ["neigh del fe80::1 dev eth0"],
        "neighbour fe80::1 of eth0 is missing",
    ),
    "pod's neighbour removed, IPv4": lambda _: ("pod", ["neigh del 169.254.1.1 dev eth0"], "neighbour 169.254.1.1"),
    "pod's neighbour changed": lambda _: (
        "pod",
        ["neigh replace fe80::1 lladdr 02:00:00:00:00:99 nud permanent dev eth0"],
        "neighbour fe80::1 of eth0 has the MAC",
    ),
    "pod's neighbour mortal": lambda _: ("pod", ["neigh change fe80::1 nud stale dev eth0"], "is not permanent"),
}

# What later plugins of a chain, and administrators, may do.
CHANGES: dict[str, Callable[[Attachment], tuple[str, str]]] = {
    "default route added in the pod": lambda _: ("pod", "route add default via 169.254.1.1 dev eth0 metric 500 onlink"),
    "MTU lowered on the node": lambda a: ("host", f"link set {a.host_ifname} mtu 1300"),
    "queueing discipline added": lambda a: ("host", f"link set {a.host_ifname} txqueuelen 500"),
    "route added in the pod": lambda _: ("pod", "route add 2001:db8:77::/64 via fe80::1 dev eth0"),
    "address added in the pod": lambda _: ("pod", "addr add 2001:db8:77::5/128 dev eth0 nodad"),
    "route added on the node": lambda a: ("host", f"route add 2001:db8:77::/64 dev {a.host_ifname}"),
    "MTU lowered in the pod": lambda _: ("pod", "link set eth0 mtu 1300"),
    "interface added to the pod": lambda _: ("pod", "link add net1 type bridge"),
}


def happens(rig: Rig, attachment: Attachment, where: str, *commands: str) -> None:
    """Do something to the node or to the pod."""
    {"host": rig.host, "pod": attachment.pod}[where].ip(*commands)


@pytest.mark.parametrize("version", VERSIONS)
def test_check_passes_right_after_add(rig: Rig, version: str) -> None:
    """CHECK with the result of ADD is silent in every version that has it, and changes nothing."""
    rig = rig.having(cniVersion=version)
    attachment = rig.attach()
    rig.plugin.check(attachment.pod, rig.conf, attachment.result)
    # The pod's automatic link-local address gets its routes when duplicate address detection is over, within a second.
    wait_until(lambda: not attachment.pod.query("-6 addr show tentative"))
    before = snapshot.take(rig.host), snapshot.take(attachment.pod)

    rig.plugin.check(attachment.pod, rig.conf, attachment.result)

    assert before == (snapshot.take(rig.host), snapshot.take(attachment.pod))


@pytest.mark.parametrize("damage", DAMAGES)
def test_check_finds(rig: Rig, damage: str) -> None:
    """CHECK fails after each damage, and its one sentence names the object."""
    attachment = rig.attach()
    where, commands, words = DAMAGES[damage](attachment)
    happens(rig, attachment, where, *commands)

    error = rig.plugin.refuses("CHECK", changed(rig.conf, prevResult=attachment.result), netns=attachment.pod)

    assert words in error["msg"]


# What belongs to the node, and how it is removed.
NODES: dict[str, Callable[[Rig], object]] = {
    "cover, IPv6": lambda rig: rig.host.ip(f"route del unreachable {rig.node.prefix6} metric 4294967295"),
    "cover, IPv4": lambda rig: rig.host.ip(f"route del unreachable {rig.node.prefix4} metric 4294967295"),
    "forwarding, IPv6": lambda rig: rig.host.sysctl("ipv6/conf/all/forwarding", 0),
    "forwarding, IPv4": lambda rig: rig.host.sysctl("ipv4/ip_forward", 0),
    "firewall table": lambda rig: rig.host.nft("delete table inet slash80"),
    "firewall": lambda rig: rig.host.nft("flush ruleset"),
    "firewall chain": lambda rig: rig.host.nft("flush chain inet slash80 edge"),
}


@pytest.mark.parametrize("what", NODES)
def test_check_repairs_what_belongs_to_the_node(rig: Rig, what: str) -> None:
    """A new pod would fare no better, so CHECK passes, and the node is as after ADD."""
    attachment = rig.attach()
    before = snapshot.take(rig.host)
    NODES[what](rig)
    assert before != snapshot.take(rig.host)

    rig.plugin.check(attachment.pod, rig.conf, attachment.result)

    assert [] == snapshot.difference(before, snapshot.take(rig.host))


def test_check_of_an_unknown_pod_repairs_nothing(rig: Rig) -> None:
    """Such a CHECK may come after the node was cleaned up."""
    attachment = rig.attach()
    rig.detach(attachment)
    rig.host.nft("flush ruleset")
    before = snapshot.take(rig.host)

    rig.plugin.refuses("CHECK", changed(rig.conf, prevResult=attachment.result), netns=attachment.pod)

    assert [] == snapshot.difference(before, snapshot.take(rig.host))


def test_check_finds_a_lost_record(rig: Rig) -> None:
    """CHECK fails when the attachment is no longer recorded, since its addresses are free for others then."""
    attachment = rig.attach()
    with contextlib.closing(sqlite3.connect(rig.state_dir / "state.db", isolation_level=None)) as database:
        database.execute("DELETE FROM attachment")

    error = rig.plugin.refuses("CHECK", changed(rig.conf, prevResult=attachment.result), netns=attachment.pod)

    assert "is recorded" in error["msg"]


@pytest.mark.parametrize("change", CHANGES)
def test_check_tolerates_foreign_changes(rig: Rig, change: str) -> None:
    """CHECK ignores what does not concern the attachment."""
    attachment = rig.attach()
    happens(rig, attachment, *CHANGES[change](attachment))

    rig.plugin.check(attachment.pod, rig.conf, attachment.result)


def test_check_tolerates_a_tuned_mac(rig: Rig) -> None:
    """A chained plugin may change the pod's MAC, which makes the kernel forget its neighbours."""
    attachment = rig.attach()
    mac = "02:11:22:33:44:55"
    attachment.pod.ip(f"link set eth0 address {mac}")
    host_end, pod_end = attachment.result["interfaces"]

    rig.plugin.check(attachment.pod, rig.conf, attachment.result | {"interfaces": [host_end, pod_end | {"mac": mac}]})


@pytest.mark.parametrize("previous", [None, {"interfaces": []}, {"sandbox": "/run/netns/other"}])
def test_check_needs_the_right_previous_result(rig: Rig, previous: dict[str, object] | None) -> None:
    """CHECK fails without prevResult, with one of another sandbox, and with one that lacks our interface."""
    attachment = rig.attach()
    host_end, pod_end = attachment.result["interfaces"]
    result = None if previous is None else attachment.result | previous
    if previous and "sandbox" in previous:
        result = attachment.result | {"interfaces": [host_end, pod_end | previous]}

    rig.plugin.refuses("CHECK", changed(rig.conf, prevResult=result), netns=attachment.pod)


def test_check_fails_after_del(rig: Rig) -> None:
    """CHECK of a deleted attachment fails."""
    attachment = rig.attach()
    rig.detach(attachment)

    rig.plugin.refuses("CHECK", changed(rig.conf, prevResult=attachment.result), netns=attachment.pod)
