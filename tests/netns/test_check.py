"""CHECK passes right after ADD, finds what was broken, and tolerates what others may change."""

from collections.abc import Callable

import pytest

from lab import snapshot
from lab.rig import Attachment, Rig, changed

VERSIONS = ("0.4.0", "1.0.0", "1.1.0")

# Each damage: where it happens, and the `ip` command for it.
DAMAGES: dict[str, Callable[[Attachment], tuple[str, str]]] = {
    "host end down": lambda a: ("host", f"link set {a.host_ifname} down"),
    "host end in another group": lambda a: ("host", f"link set {a.host_ifname} group 5"),
    "host route gone, IPv6": lambda a: ("host", f"route del {a.ipv6} dev {a.host_ifname}"),
    "host route gone, IPv4": lambda a: ("host", f"route del {a.ipv4} dev {a.host_ifname}"),
    "gateway gone, IPv6": lambda a: ("host", f"addr del fe80::1/64 dev {a.host_ifname}"),
    "gateway gone, IPv4": lambda a: ("host", f"addr del 169.254.1.1/32 dev {a.host_ifname}"),
    "pod's end down": lambda _: ("pod", "link set eth0 down"),
    "pod's end gone": lambda _: ("pod", "link del eth0"),
    "pod's address gone, IPv6": lambda a: ("pod", f"addr del {a.ipv6}/128 dev eth0"),
    "pod's address gone, IPv4": lambda a: ("pod", f"addr del {a.ipv4}/32 dev eth0"),
    "pod's default route gone, IPv6": lambda _: ("pod", "route del default via fe80::1 dev eth0"),
    "pod's default route gone, IPv4": lambda _: ("pod", "route del default via 169.254.1.1 dev eth0"),
    "pod's neighbour gone, IPv6": lambda _: ("pod", "neigh del fe80::1 dev eth0"),
    "pod's neighbour gone, IPv4": lambda _: ("pod", "neigh del 169.254.1.1 dev eth0"),
    "pod's neighbour wrong": lambda _: (
        "pod",
        "neigh replace fe80::1 lladdr 02:00:00:00:00:99 nud permanent dev eth0",
    ),
}

# What later plugins of a chain, and administrators, may do.
CHANGES: dict[str, Callable[[Attachment], tuple[str, str]]] = {
    "route added in the pod": lambda _: ("pod", "route add 2001:db8:77::/64 via fe80::1 dev eth0"),
    "address added in the pod": lambda _: ("pod", "addr add 2001:db8:77::5/128 dev eth0 nodad"),
    "route added on the node": lambda a: ("host", f"route add 2001:db8:77::/64 dev {a.host_ifname}"),
    "MTU lowered in the pod": lambda _: ("pod", "link set eth0 mtu 1300"),
    "interface added to the pod": lambda _: ("pod", "link add net1 type bridge"),
}


def happens(rig: Rig, attachment: Attachment, where: str, command: str) -> None:
    """Do one thing to the node or to the pod."""
    {"host": rig.host, "pod": attachment.pod}[where].ip(command)


@pytest.mark.parametrize("version", VERSIONS)
def test_check_passes_right_after_add(rig: Rig, version: str) -> None:
    """CHECK with the result of ADD is silent in every version that has it, and changes nothing."""
    rig = rig.having(cniVersion=version)
    attachment = rig.attach()
    before = snapshot.take(rig.host), snapshot.take(attachment.pod)

    rig.plugin.check(attachment.pod, rig.conf, attachment.result)

    assert before == (snapshot.take(rig.host), snapshot.take(attachment.pod))


@pytest.mark.parametrize("damage", DAMAGES)
def test_check_finds(rig: Rig, damage: str) -> None:
    """CHECK fails with one sentence after each damage."""
    attachment = rig.attach()
    happens(rig, attachment, *DAMAGES[damage](attachment))

    rig.plugin.refuses("CHECK", changed(rig.conf, prevResult=attachment.result), netns=attachment.pod)


@pytest.mark.parametrize("script", ["delete table inet slash80", "flush ruleset", "flush chain inet slash80 edge"])
def test_check_finds_a_missing_firewall(rig: Rig, script: str) -> None:
    """CHECK fails when the rules that close the pod are gone."""
    attachment = rig.attach()
    rig.host.nft(script)

    rig.plugin.refuses("CHECK", changed(rig.conf, prevResult=attachment.result), netns=attachment.pod)


@pytest.mark.parametrize("change", CHANGES)
def test_check_tolerates(rig: Rig, change: str) -> None:
    """CHECK is silent about what is none of our business."""
    attachment = rig.attach()
    happens(rig, attachment, *CHANGES[change](attachment))

    rig.plugin.check(attachment.pod, rig.conf, attachment.result)


def test_check_tolerates_a_tuned_mac(rig: Rig) -> None:
    """A chained plugin may change the pod's MAC, by which the kernel forgets the neighbours."""
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


def test_check_of_what_was_deleted(rig: Rig) -> None:
    """CHECK fails after DEL."""
    attachment = rig.attach()
    rig.detach(attachment)

    rig.plugin.refuses("CHECK", changed(rig.conf, prevResult=attachment.result), netns=attachment.pod)
