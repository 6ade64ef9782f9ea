"""What happens to a cluster in its life: many pods, agents that come and go, nodes that reboot, an API that is away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address, ip_network

import pytest

from cluster.outside import Outside
from cluster.pods import Pods, url
from kind.cluster import Cluster
from kind.images import AGNHOST

# which family comes first makes no difference here
pytestmark = pytest.mark.parametrize("cluster", ["dual"], indirect=True)

NAMESPACE = ("-n", "slash80-system")
PROBED = f"""
apiVersion: v1
kind: Pod
metadata: {{name: probed, labels: {{app: probed}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {{name: http, image: {AGNHOST}, args: [netexec, --http-port=8080, --udp-port=-1], readinessProbe: &http {{
      httpGet: {{path: /hostname, port: 8080}}, periodSeconds: 1}}, livenessProbe: *http, startupProbe: *http}}
  - {{name: tcp, image: {AGNHOST}, args: [netexec, --http-port=8081, --udp-port=-1], readinessProbe: {{
      tcpSocket: {{port: 8081}}, periodSeconds: 1}}}}
  - {{name: grpc, image: {AGNHOST}, args: [grpc-health-checking, --port=8082, --http-port=8083], readinessProbe: {{
      grpc: {{port: 8082}}, periodSeconds: 1}}}}
  - {{name: exec, image: {AGNHOST}, readinessProbe: {{exec: {{command: [/bin/busybox, id]}}, periodSeconds: 1}}}}
"""


def _many(name: str, count: int, node: str) -> str:
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {count}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      nodeName: {node}
      containers: [{{name: pause, image: {AGNHOST}}}]
"""


def _attached(cluster: Cluster, node: str) -> list[str]:
    found = json.loads(cluster.on(node, "/opt/cni/bin/slash80", "attachments", "-o", "json"))
    return [one["pod"]["name"] for one in found if one["state"] == "ready"]


def _living(cluster: Cluster, node: str) -> list[str]:
    """Name the pods of a node that are on slash80's network."""
    found = cluster.items("pods", "-A", f"--field-selector=spec.nodeName={node}")
    return [one["metadata"]["name"] for one in found if not one["spec"].get("hostNetwork")]


def _settle(cluster: Cluster, node: str) -> None:
    """Wait until exactly the pods that live have an attachment."""
    cluster.eventually(lambda: sorted(_attached(cluster, node)) == sorted(_living(cluster, node)), what="cleaning up")


def _talk(pods: Pods) -> bool:
    """Report whether a pod of one node reaches one of the other, by both families."""
    one, other = pods.two()
    return all(one.ask(url(other.address(v), "hostname"), check=False) == other.name for v in (4, 6))


def _failed_sandboxes(cluster: Cluster) -> list[str]:
    events = cluster.items("events", "-A", "--field-selector=reason=FailedCreatePodSandBox")
    return [str(event["message"]) for event in events]


@contextmanager
def _churning(cluster: Cluster, node: str) -> Iterator[None]:
    """Keep a Deployment's pods being recreated meanwhile."""
    cluster.apply(_many("churn", 4, node))
    ended = threading.Event()

    def churn() -> None:
        while not ended.wait(1):
            cluster.kubectl(
                "delete", "pods", "-l", "app=churn", "--wait=false", "--field-selector=status.phase=Running"
            )

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        cluster.kubectl("rollout", "status", "deploy/churn", "--timeout=300s")
        cluster.kubectl("delete", "deploy", "churn")


@pytest.fixture
def worker(cluster: Cluster) -> str:
    """Name the node that is not the control plane."""
    return next(name for name in cluster.nodes() if "control-plane" not in name)


def test_probes_of_every_kind(cluster: Cluster) -> None:
    """The kubelet reaches the pod by its primary address, from the node's own."""
    cluster.apply(PROBED)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/probed", "--timeout=300s")
    cluster.kubectl("delete", "pod", "probed")


def test_a_full_node(cluster: Cluster, worker: str) -> None:
    """As many pods as a kubelet takes: each has two addresses, no two the same, and none is left behind."""
    limit = int(cluster.get("node", worker)["status"]["capacity"]["pods"])
    here = cluster.items("pods", "-A", f"--field-selector=spec.nodeName={worker}")
    cluster.apply(_many("full", limit - len(here), worker))
    cluster.kubectl("rollout", "status", "deploy/full", "--timeout=600s")

    found = cluster.items("pods", "-A", f"--field-selector=spec.nodeName={worker}")
    addresses = [ip["ip"] for one in found if not one["spec"].get("hostNetwork") for ip in one["status"]["podIPs"]]
    assert len(addresses) == len(set(addresses)) >= 2 * (limit - 5)
    cluster.kubectl("delete", "deploy", "full")
    _settle(cluster, worker)


def test_an_update_of_the_agent_is_not_noticed(cluster: Cluster, worker: str) -> None:
    """Launcher, engine and agent are replaced while pods come and go: no sandbox fails."""
    before = len(_failed_sandboxes(cluster))
    with _churning(cluster, worker):
        cluster.kubectl(*NAMESPACE, "rollout", "restart", "ds/slash80")
        cluster.kubectl(*NAMESPACE, "rollout", "status", "ds/slash80", "--timeout=300s")

    assert _failed_sandboxes(cluster)[before:] == []
    _settle(cluster, worker)


def test_without_an_agent_pods_come_and_go(cluster: Cluster, worker: str, pods: Pods) -> None:
    """The launcher starts the engine; what runs is not touched, and the agent takes over again."""
    here = next(pod for pod in pods.all() if pod.node == worker)
    nowhere = '{"spec":{"template":{"spec":{"nodeSelector":{"nowhere":"yes"}}}}}'
    cluster.kubectl(*NAMESPACE, "patch", "ds", "slash80", "-p", nowhere)
    cluster.eventually(lambda: not cluster.items("pods", *NAMESPACE), what="ending the agents")
    cluster.apply(_many("lone", 2, worker))
    cluster.kubectl("rollout", "status", "deploy/lone", "--timeout=300s")
    assert here.ask(url("127.0.0.1", "hostname")) == here.name
    cluster.kubectl("delete", "deploy", "lone")
    _settle(cluster, worker)

    everywhere = '{"spec":{"template":{"spec":{"nodeSelector":null}}}}'
    cluster.kubectl(*NAMESPACE, "patch", "ds", "slash80", "-p", everywhere)
    cluster.kubectl(*NAMESPACE, "rollout", "status", "ds/slash80", "--timeout=300s")


def test_a_killed_agent_comes_back(cluster: Cluster, worker: str) -> None:
    """All its processes at once; pods go on being made."""
    with _churning(cluster, worker):
        for _ in range(3):
            cluster.on(worker, "pkill", "-9", "-f", "engine agent")
            cluster.eventually(
                lambda: cluster.on(worker, "curl", "-sf", "http://127.0.0.1:9180/readyz"), what="an agent"
            )
    _settle(cluster, worker)


def test_while_the_api_is_away_a_node_looks_after_itself(cluster: Cluster, worker: str, pods: Pods) -> None:
    """A flushed firewall is back within seconds, pods keep their addresses, and afterwards everything is as before."""
    control = next(name for name in cluster.nodes() if name != worker)
    here = next(pod for pod in pods.all() if pod.node == worker)
    cluster.podman("pause", control)
    try:
        cluster.on(worker, "nft", "delete", "table", "inet", "slash80")
        cluster.eventually(lambda: "chain edge" in cluster.on(worker, "nft", "list", "ruleset"), what="the firewall")
        for version in (4, 6):
            assert here.name == cluster.on(worker, "curl", "-sgm", "20", url(here.address(version), "hostname"))
        status = json.loads(cluster.on(worker, "/opt/cni/bin/slash80", "status", "-o", "json", check=False))
        assert status["ready"]
    finally:
        cluster.podman("unpause", control)
    cluster.eventually(lambda: cluster.kubectl("get", "--raw=/readyz"), what="the API server")
    cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=300s")


def test_a_node_that_reboots_while_the_api_is_away(
    cluster: Cluster, worker: str, pods: Pods, outside: Outside, primary: int
) -> None:
    """A reboot removes state, links and rules and changes the address: all is created again, nothing is left."""
    control = next(name for name in cluster.nodes() if name != worker)
    cluster.podman("pause", control)
    try:
        cluster.podman("restart", "--time=5", worker)
        cluster.eventually(lambda: cluster.on(worker, "systemctl", "is-active", "kubelet"), what="the kubelet")
    finally:
        cluster.podman("unpause", control)
    cluster.eventually(lambda: cluster.kubectl("get", "--raw=/readyz"), what="the API server")

    cluster.eventually(partial(_talk, pods), what="pods of both nodes talking again")
    _settle(cluster, worker)
    outside.learn()
    assert all(outside.refused(url(pod.address(v), "hostname")) for pod in pods.two() for v in (4, 6))
    first = ip_address(next(pod for pod in pods.all() if pod.node == worker).addresses[0])
    assert first.version == primary


def test_a_node_that_is_deleted_and_comes_back(cluster: Cluster, worker: str, pods: Pods) -> None:
    """The other node's routes to it go and come with it, with whatever prefixes it has then.

    Pods of before keep their addresses, and the Node says that those drain, until they are recreated.
    """
    control = next(name for name in cluster.nodes() if name != worker)

    def routes() -> str:
        return cluster.on(control, "ip", "route", "show", "proto", "180") + cluster.on(
            control, "ip", "-6", "route", "show", "proto", "180"
        )

    old = [address for pod in pods.all() if pod.node == worker for address in pod.addresses]
    cluster.kubectl("delete", "node", worker)
    cluster.eventually(lambda: " via " not in routes(), what="the routes' end")
    cluster.on(worker, "systemctl", "restart", "kubelet")

    def back() -> bool:
        prefixes = cluster.get("node", worker)["spec"]["podCIDRs"]
        return all(f"{prefix} via" in routes() for prefix in prefixes)

    cluster.eventually(back, what="routes to the node that came back")
    cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=300s")

    def draining() -> bool:
        conditions = {one["type"]: one["status"] for one in cluster.get("node", worker)["status"]["conditions"]}
        return bool(conditions["Slash80PrefixDraining"] == "True")

    moved = not any(
        ip_address(a) in ip_network(p) for a in old for p in cluster.get("node", worker)["spec"]["podCIDRs"]
    )
    if moved:
        cluster.eventually(draining, what="a condition of the Node")
    for words in (("ds/web",), ("-n", "kube-system", "deploy/coredns")):
        cluster.kubectl("rollout", "restart", *words)
        cluster.kubectl("rollout", "status", *words, "--timeout=300s")
    cluster.eventually(lambda: not draining(), what="the end of the drain")

    cluster.eventually(partial(_talk, pods), what="pods of both nodes talking again")
