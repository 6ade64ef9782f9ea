"""Connections that were translated on their way, as kube-proxy does it: who may come in by which address."""

import pytest

from lab.probes import ANSWERED, SHORTLY, Server, ask
from lab.rig import Attachment, Rig
from netns.conftest import MakeRig

CLUSTER_IPS = {"ipv4": "10.96.0.7", "ipv6": "fd00:10:96::7"}
RANGES = ["10.96.0.0/16", "fd00:10:96::/112"]
INTERNET = ["198.51.100.0/24", "2001:db8:ffff::/64"]
WORDS = {"ipv4": "ip", "ipv6": "ip6"}


def _translate(rig: Rig, family: str, address: str, *, target: str) -> None:
    """Lead what is sent to an address to a target, and hide it behind the node where it leaves for another one."""
    rig.host.nft(
        f"""
        table inet proxy{family} {{
            chain before {{
                type nat hook prerouting priority dstnat;
                {WORDS[family]} daddr {address} meta l4proto {{ tcp, udp }} dnat {WORDS[family]} to {target}
            }}
            chain after {{
                type nat hook postrouting priority srcnat;
                ct status dnat oifname "eth0" masquerade
            }}
        }}
        """
    )


def _tried(rig: Rig, family: str, address: str, server: Attachment, *, expected: str) -> str:
    """Report whether a host on the Internet that sends to an address of the node's reaches the pod behind it.

    What is expected says how long the answer is waited for.
    """
    _translate(rig, family, address, target=getattr(server, family))
    if address in CLUSTER_IPS.values():
        rig.site.router.command("ip", "route", "replace", address, "via", getattr(rig.node, family))
    with Server(server.pod):
        timeout = ANSWERED if expected == "reached" else SHORTLY
        return "reached" if ask(rig.site.internet, address, timeout=timeout) else "refused"


@pytest.mark.parametrize(
    ("firewall", "by", "expected"),
    [
        ({}, "NodePort", "refused"),
        ({"serviceCIDRs": RANGES}, "NodePort", "reached"),
        ({"serviceCIDRs": RANGES}, "ClusterIP", "refused"),
        ({"serviceCIDRs": RANGES, "services": "trusted"}, "NodePort", "refused"),
        ({"serviceCIDRs": RANGES, "services": "trusted", "trusted": INTERNET}, "NodePort", "reached"),
    ],
)
def test_nodeport_is_open_and_clusterip_closed_on_this_node(
    rig: Rig, family: str, firewall: dict[str, object], by: str, expected: str
) -> None:
    """Where the Services' ranges are known, the Internet reaches a pod by a NodePort and not by a ClusterIP."""
    pod = rig.having(firewall=firewall).attach()
    address = CLUSTER_IPS[family] if by == "ClusterIP" else getattr(rig.node, family)

    assert expected == _tried(rig, family, address, pod, expected=expected)


@pytest.mark.parametrize(
    ("firewall", "by", "expected"),
    [
        ({"serviceCIDRs": RANGES}, "NodePort", "reached"),
        ({"serviceCIDRs": RANGES}, "ClusterIP", "refused"),
        ({"serviceCIDRs": RANGES, "services": "trusted"}, "NodePort", "refused"),
        ({}, "NodePort", "refused"),
    ],
)
def test_nodeport_is_open_and_clusterip_closed_for_another_node(
    make_rig: MakeRig, family: str, firewall: dict[str, object], by: str, expected: str
) -> None:
    """The other node sees this one as the source and cannot distinguish them, so this node decides."""
    one = make_rig(nodes=2, route_ipv4_pods=True)
    other = one.on(one.site.nodes[1])
    cluster = {"clusterPrefixes": [other.node.prefix4, other.node.prefix6]}
    one.having(firewall=cluster | firewall).cycle()
    nodes = {"nodePrefixes": [f"{one.node.ipv4}/32", f"{one.node.ipv6}/128"]}
    pod = other.having(firewall=nodes).attach()
    address = CLUSTER_IPS[family] if by == "ClusterIP" else getattr(one.node, family)

    assert expected == _tried(one, family, address, pod, expected=expected)
