"""Host ports of Pods, with kube-proxy as it is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address

import pytest

from cluster.outside import ADDRESS, Outside
from cluster.pods import PORT, Pods, client_of, url, web_server
from kind.cluster import Cluster

HOST_PORT = 54321
MAPPED = f"""
apiVersion: v1
kind: Pod
metadata: {{name: mapped}}
spec:
  nodeName: NODE
  terminationGracePeriodSeconds: 0
  containers: [{web_server(-1, f"ports: [{{containerPort: {PORT}, hostPort: {HOST_PORT}}}],")}]
"""


@pytest.fixture(scope="module")
def node(cluster: Cluster, pods: Pods) -> Iterator[str]:
    """Run a pod with a host port, and provide its node."""
    found = pods.two()[1].node
    manifest = MAPPED.replace("NODE", found)
    cluster.apply(manifest)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/mapped", "--timeout=300s")
    yield found
    cluster.kubectl("delete", "-f", "-", stdin=manifest)


def _address(cluster: Cluster, node: str, version: int) -> str:
    found = [one["address"] for one in cluster.get("node", node)["status"]["addresses"] if one["type"] == "InternalIP"]
    return next(str(one) for one in found if ip_address(one).version == version)


@pytest.mark.parametrize("version", [4, 6])
def test_a_host_port_is_open_to_the_internet(cluster: Cluster, node: str, outside: Outside, version: int) -> None:
    """The pod sees who asks, as the Internet routes the answer back by the node."""
    seen = partial(outside.client_seen_at, _address(cluster, node, version), HOST_PORT)

    assert ADDRESS[version] == cluster.eventually(seen, what="a host port")


@pytest.mark.parametrize("version", [4, 6])
def test_a_host_port_leads_pods_of_every_node_to_the_pod(cluster: Cluster, pods: Pods, node: str, version: int) -> None:
    """Those of its own node with their address, and those of others as they reach any address of that node."""
    page = url(_address(cluster, node, version), "clientip", HOST_PORT)
    seen = {pod.node: client_of(pod.ask(page)) for pod in pods.all()}

    assert all(seen.values())
    assert seen[node] in {pod.address(version) for pod in pods.all() if pod.node == node}
