"""A pod asks for host ports of addresses that are not its node's, to get what others send there."""

import pytest

from lab.namespaces import Namespace
from lab.probes import PORT, SHORTLY, Server, ask
from lab.rig import Rig
from lab.topology import INTERNET4, INTERNET6
from netns.test_host_ports import LOOPBACK, SERVICES, mapped, mapping

INTERNET = {"ipv4": INTERNET4, "ipv6": INTERNET6}
CLUSTER_IP = {"ipv4": "10.96.0.9", "ipv6": "fd00:10:96::9"}


def answered(target: str, *clients: Namespace) -> bool:
    """Report whether one of the clients gets an answer, which none should: only the pod that asked serves."""
    return any(ask(client, target, "tcp", timeout=SHORTLY) for client in clients)


@pytest.mark.parametrize("whose", ["another pod's", "of the Internet"])
def test_an_address_that_is_not_the_nodes_leads_nowhere(rig: Rig, family: str, whose: str) -> None:
    """What the node and its pods send to another pod or to a host on the Internet is not led to the pod that asked."""
    other, client = rig.attach(), rig.attach()
    target = INTERNET[family] if whose == "of the Internet" else getattr(other, family)
    thief = mapped(rig, mapping(PORT, hostIP=target))
    with Server(thief.pod):
        assert not answered(target, client.pod, rig.host)


@pytest.mark.parametrize("every", [True, False])
def test_a_cluster_ip_that_is_an_address_of_the_node_stays_the_services(rig: Rig, family: str, *, every: bool) -> None:
    """As in kube-proxy's ipvs mode, which translates in the hook `input`; the node's own addresses lead to the pod."""
    rig = rig.having(firewall=SERVICES)
    rig.host.ip(f"addr add {CLUSTER_IP[family]} dev lo" + (" nodad" if family == "ipv6" else ""))
    thief, client = mapped(rig, mapping(PORT, **({} if every else {"hostIP": CLUSTER_IP[family]}))), rig.attach()
    with Server(thief.pod):
        assert not answered(CLUSTER_IP[family], client.pod, rig.host)
        if every:
            assert ask(rig.host, LOOPBACK[family], "tcp")
        else:
            assert not answered(LOOPBACK[family], rig.host)
