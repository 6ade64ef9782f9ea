"""Clusters of one family, and one that gets its second while it runs."""

import json
from functools import partial
from ipaddress import ip_address

from cluster.pods import Pods, dial, url
from kind.cluster import Cluster
from kind.sandbox import Sandbox
from kind.temporary import install, made


def _versions(pods: Pods) -> list[list[int]]:
    return [[ip_address(address).version for address in pod.addresses] for pod in pods.all()]


def _annotated(cluster: Cluster, node: str) -> bool:
    """Report whether a node has a prefix of its annotation."""
    return "annotation" in cluster.on(node, "/opt/cni/bin/slash80", "prefixes")


def _talk(pods: Pods, version: int) -> None:
    one, other = pods.two()
    assert other.name == one.ask(url(other.address(version), "hostname"))


def _anew(cluster: Cluster, pods: Pods) -> None:
    """Recreate the pods."""
    cluster.kubectl("rollout", "restart", "ds/web")
    cluster.kubectl("rollout", "status", "ds/web", "--timeout=300s")
    assert len(pods.all()) == 2


def test_an_ipv6_only_cluster(sandbox: Sandbox) -> None:
    """Pods, Services and names work by IPv6 alone, with kube-proxy on nftables."""
    with made(sandbox, "ipv6", "six") as cluster:
        install(cluster)
        pods = Pods(cluster)
        pods.start()
        assert [[6], [6]] == _versions(pods)
        _talk(pods, 6)
        cluster.apply(
            "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, "
            "ports: [{port: 80, targetPort: 8080}]}}"
        )
        asking = pods.all()[0]
        names = {pod.name for pod in pods.all()}
        cluster.eventually(lambda: names == set(dial(asking, "web.default.svc.cluster.local", 80, 8)), what="a Service")


def test_ipv6_for_a_cluster_that_runs_on_ipv4(sandbox: Sandbox) -> None:
    """The nodes' annotation is enough: pods that are made from then on have both, those of before stay as they are."""
    with made(sandbox, "ipv4", "four") as cluster:
        install(cluster)
        pods = Pods(cluster)
        pods.start()
        assert [[4], [4]] == _versions(pods)
        for number, node in enumerate(cluster.nodes(), 1):
            prefix = json.dumps([f"2001:db8:5:{number}:1::/80"])
            cluster.kubectl("annotate", "node", node, f"slash80.io/prefix-override={prefix}")
            cluster.eventually(partial(_annotated, cluster, node), what="the prefix")
        assert [[4], [4]] == _versions(pods)

        _anew(cluster, pods)
        assert [[4, 6], [4, 6]] == _versions(pods)
        _talk(pods, 4)
        services = cluster.get("service", "kubernetes")["spec"]
        assert ["IPv4"] == services["ipFamilies"]
