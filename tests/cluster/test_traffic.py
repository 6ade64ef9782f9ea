"""Who reaches whom."""

import pytest

from cluster.outside import ADDRESS, PORT, Outside
from cluster.pods import Pods, client_of, url
from kind.cluster import Cluster


@pytest.mark.parametrize("version", [4, 6])
def test_pods_on_two_nodes_see_each_others_address(pods: Pods, version: int) -> None:
    """Nothing between them translates."""
    one, other = pods.two()
    assert one.address(version) == client_of(one.ask(url(other.address(version), "clientip")))


@pytest.mark.parametrize("version", [4, 6])
def test_a_pod_reaches_the_internet_and_the_internet_no_pod(pods: Pods, outside: Outside, version: int) -> None:
    """IPv6 arrives with the pod's own address, IPv4 with its node's; what begins outside is refused."""
    pod, _ = pods.two()
    seen = client_of(pod.ask(url(ADDRESS[version], "clientip", PORT)))
    assert (seen == pod.address(version)) == (version == 6)
    assert outside.refused(url(pod.address(version), "hostname"))


def test_a_node_reaches_its_own_pods_and_others(cluster: Cluster, pods: Pods) -> None:
    """From its own address: probes and the API server depend on it."""
    for pod in pods.all():
        for node in cluster.nodes():
            for version in (4, 6):
                assert pod.name == cluster.on(node, "curl", "-sgm", "20", url(pod.address(version), "hostname"))
