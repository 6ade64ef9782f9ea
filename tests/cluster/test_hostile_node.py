"""A kubelet writes into its Node what it may, by its own credentials: other nodes stay as they are."""

import json

from cluster.outside import ADDRESS, Outside
from cluster.pods import Pods, url
from kind.cluster import Cluster

# The credentials that kubelet.conf names. Not by kubectl, which reads a status before it changes it: a kubelet may not.
IDENTITY = "/var/lib/kubelet/pki/kubelet-client-current.pem"
SENT = (
    "curl",
    "-skfX",
    "PATCH",
    "--cert",
    IDENTITY,
    "--key",
    IDENTITY,
    "-H",
    "Content-Type: application/merge-patch+json",
)


def write(cluster: Cluster, node: str, pod: str) -> None:
    """Have a node's kubelet write what no node should: another's pod, zones, a host's prefix, and endless lists.

    Its own agent and kubelet put it right again, within some seconds.
    """
    own = cluster.get("node", node)["status"]["addresses"]
    many = (f"fe80::{number:x}%eth0" for number in range(2, 500))  # the API server refuses one that is there twice
    hostile = (pod, "fe80::1%eth0", "ff02::1", "127.0.0.1", "x" * 200, *many)
    wrong = [{"type": "InternalIP", "address": one} for one in hostile]
    prefixes = [f"{ADDRESS[4]}/32", *(f"2001:db8:ffff:{number:x}::/80" for number in range(3000))]
    patches = {
        "": {"metadata": {"annotations": {"slash80.io/prefixes": json.dumps(prefixes)}}},
        "/status": {"status": {"addresses": [*own, *wrong]}},
    }
    for part, patch in patches.items():
        page = f"https://{cluster.name}-control-plane:6443/api/v1/nodes/{node}{part}"
        cluster.on(node, *SENT, "-d", json.dumps(patch), page)


def problems(cluster: Cluster, node: str) -> str:
    """Return what is wrong on a node that can attach pods, as it says."""
    found = json.loads(cluster.on(node, "/opt/cni/bin/slash80", "status", "-o", "json"))
    assert found["ready"]
    return str(found["problems"])


def trusted(cluster: Cluster, node: str) -> set[str]:
    """Return whom a node trusts: its file, which the kernel's sets follow."""
    firewall = json.loads(cluster.on(node, "cat", "/run/slash80/node.json"))["firewall"]
    return {prefix for key in ("trusted", "clusterPrefixes", "nodePrefixes") for prefix in firewall[key]}


def test_what_one_kubelet_writes_opens_no_other_node(cluster: Cluster, pods: Pods, outside: Outside) -> None:
    """The others name what is wrong, are ready, and trust nothing more; what it costs is the hostile node's."""
    hostile, other = cluster.nodes()[-1], cluster.nodes()[0]
    victim = next(pod for pod in pods.all() if pod.node == other)
    before = trusted(cluster, other)

    def noticed() -> bool:
        write(cluster, hostile, victim.address(4))
        return hostile in problems(cluster, other)

    cluster.eventually(noticed, what="the hostile Node")
    assert trusted(cluster, other) <= before
    for address in victim.addresses:
        assert outside.refused(url(address, "hostname"))

    cluster.eventually(lambda: hostile not in problems(cluster, other), what="the honest Node")
    assert before == trusted(cluster, other)
