"""What is left of slash80 after it was uninstalled: nothing."""

from cluster.traces import traces
from kind.cluster import Cluster
from kind.temporary import MANIFESTS, OVERLAY, install


def test_uninstalling_leaves_every_node_as_it_was(cluster: Cluster, before: dict[str, set[str]]) -> None:
    """With pods nothing is removed; without, links, routes, rules, settings and files are as before the install."""
    cluster.kubectl("delete", "-k", OVERLAY, "--timeout=300s")
    cluster.kubectl("apply", "-k", MANIFESTS / "uninstall")
    status = ("-n", "kube-system", "get", "pods", "-l", "app.kubernetes.io/name=slash80-uninstall", "-o", "name")
    names = cluster.eventually(lambda: cluster.kubectl(*status).split(), what="the uninstaller")
    refused = "without the conflist they could never be deleted"

    def logs() -> list[str]:
        words = ("-n", "kube-system", "logs", "-c", "uninstall", "--ignore-errors")
        return [cluster.kubectl(*words, name) for name in names]

    cluster.eventually(lambda: any(refused in log for log in logs()), what="the refusal")

    cluster.kubectl("-n", "kube-system", "scale", "deploy", "coredns", "--replicas=0")
    cluster.kubectl("delete", "ds", "web", "--ignore-not-found")
    cluster.kubectl("-n", "kube-system", "rollout", "status", "ds/slash80-uninstall", "--timeout=300s")
    cluster.kubectl("delete", "-k", MANIFESTS / "uninstall")
    assert before == traces(cluster)

    install(cluster)
    cluster.kubectl("-n", "kube-system", "scale", "deploy", "coredns", "--replicas=2")
    cluster.kubectl("-n", "kube-system", "rollout", "status", "deploy", "coredns", "--timeout=300s")
