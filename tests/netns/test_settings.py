"""Kernel settings of the node, and those that a pod's namespace has from the start: pods work whatever they are.

A new namespace has the machine's IPv4 settings (net.core.devconf_inherit_init_net): a hardened node has hardened pods.
"""

import pytest

from lab.namespaces import Namespace
from lab.probes import ping
from lab.rig import Attachment, Rig
from lab.topology import INTERNET4, INTERNET6

LEVEL = pytest.mark.parametrize("level", ["all", "default"])
# What hardening guides say, and what each of these can be at most.
HARDENED = {
    "ipv4": {
        "accept_local": 1,
        "accept_redirects": 0,
        "arp_accept": 1,
        "arp_announce": 2,
        "arp_filter": 1,
        "arp_ignore": 2,
        "arp_notify": 1,
        "disable_policy": 1,
        "drop_gratuitous_arp": 1,
        "drop_unicast_in_l2_multicast": 1,
        "ignore_routes_with_linkdown": 1,
        "rp_filter": 1,
        "secure_redirects": 0,
        "send_redirects": 0,
        "shared_media": 0,
        "src_valid_mark": 1,
    },
    "ipv6": {
        "accept_ra": 0,
        "accept_redirects": 0,
        "autoconf": 0,
        "dad_transmits": 3,
        "drop_unicast_in_l2_multicast": 1,
        "drop_unsolicited_na": 1,
        "ignore_routes_with_linkdown": 1,
        "max_addresses": 1,
        "use_oif_addrs_only": 1,
        "use_tempaddr": 2,
    },
}


def harden(namespace: Namespace, level: str) -> None:
    """Set all of it."""
    for family, settings in HARDENED.items():
        for key, value in settings.items():
            namespace.sysctl(f"{family}/conf/{level}/{key}", value)


def unreachable(rig: Rig, pod: Attachment, other: Attachment) -> list[str]:
    """Name the ways on which the first packet is not answered: node and pod, pod and pod, pod and Internet."""
    ways = {
        "the node's to the pod": [(rig.host, address) for address in pod.addresses],
        "the pod's to the node": [(pod.pod, rig.node.ipv6), (pod.pod, rig.node.ipv4)],
        "another pod's": [(other.pod, address) for address in pod.addresses],
        "the pod's to another": [(pod.pod, address) for address in other.addresses],
        "the pod's to the Internet": [(pod.pod, INTERNET6), (pod.pod, INTERNET4)],
    }
    return [
        f"{way} {address}" for way, packets in ways.items() for start, address in packets if ping(start, address) != 1
    ]


@LEVEL
@pytest.mark.parametrize("value", [1, 2, 3, 8])
def test_pod_answers_with_any_arp_ignore(rig: Rig, level: str, value: int) -> None:
    """With 2 and 8 it would answer no one, and IPv4 would not work from the start."""
    other, pod = rig.attach(), rig.site.pod()
    pod.sysctl(f"ipv4/conf/{level}/arp_ignore", value)

    assert unreachable(rig, rig.attach(pod), other) == []


@LEVEL
def test_pod_in_a_hardened_namespace_is_reachable(rig: Rig, level: str) -> None:
    """With every hardening setting at its strictest, the pod is reached and reaches everything."""
    other, pod = rig.attach(), rig.site.pod()
    harden(pod, level)

    assert unreachable(rig, rig.attach(pod), other) == []


@LEVEL
def test_hardened_node_reaches_its_pods(rig: Rig, level: str) -> None:
    """With every hardening setting at its strictest on the node, pods are reached and reach everything."""
    other = rig.attach()
    harden(rig.host, level)

    assert unreachable(rig, rig.attach(), other) == []


def test_node_whose_new_links_do_not_forward(rig: Rig) -> None:
    """With net.ipv4.conf.default.forwarding at 0 the kernel would forward nothing that comes from the pod."""
    other = rig.attach()
    rig.host.sysctl("ipv4/conf/default/forwarding", 0)

    assert unreachable(rig, rig.attach(), other) == []


def test_node_whose_new_links_have_no_ipv6(rig: Rig) -> None:
    """With net.ipv6.conf.default.disable_ipv6 at 1, IPv6 is enabled for the host end alone."""
    other = rig.attach()
    rig.host.sysctl("ipv6/conf/default/disable_ipv6", 1)
    pod = rig.attach()

    assert unreachable(rig, pod, other) == []
    assert rig.host.sysctl("ipv6/conf/default/disable_ipv6") == "1"
    rig.plugin.check(pod.pod, rig.conf, pod.result)


def test_node_without_ipv6_has_ipv6_pods(rig: Rig) -> None:
    """With net.ipv6.conf.all.disable_ipv6 at 1 its pods still reach each other, and IPv4 reaches everything."""
    rig.host.sysctl("ipv6/conf/all/disable_ipv6", 1)
    first, second = rig.attach(), rig.attach()

    assert [ping(first.pod, address) for address in (*second.addresses, INTERNET4)] == [1, 1, 1]


@pytest.mark.parametrize("families", [{"ipv6": None}, {"ipv4": None}], ids=["ipv4", "ipv6"])
def test_node_with_one_family_ignores_the_other(rig: Rig, families: dict[str, None]) -> None:
    """The settings of the other family do not matter, and need not exist."""
    rig.host.sysctl("ipv4/conf/default/forwarding", 0)
    pods = [rig.having(**families).attach() for _ in range(2)]
    (address,) = (ip["address"].split("/")[0] for ip in pods[1].result["ips"])

    assert ping(pods[0].pod, address) == 1
