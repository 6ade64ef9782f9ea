"""Services through kube-proxy as it is."""

from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address

import pytest

from cluster.outside import ADDRESS, Outside
from cluster.pods import PORT, Pods, client_of, dial, url
from kind.cluster import Cluster

DOMAIN = "default.svc.cluster.local"
SERVICES = f"""
apiVersion: v1
kind: Service
metadata: {{name: both}}
spec: {{ipFamilyPolicy: RequireDualStack, selector: {{app: web}}, ports: [{{port: 80, targetPort: {PORT}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: only4}}
spec:
  ipFamilyPolicy: SingleStack
  ipFamilies: [IPv4]
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: {PORT}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: only6}}
spec:
  ipFamilyPolicy: SingleStack
  ipFamilies: [IPv6]
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: {PORT}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: headless}}
spec: {{ipFamilyPolicy: RequireDualStack, clusterIP: None, selector: {{app: web}}, ports: [{{port: {PORT}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: sticky}}
spec:
  sessionAffinity: ClientIP
  ipFamilyPolicy: RequireDualStack
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: {PORT}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: port}}
spec:
  type: NodePort
  ipFamilyPolicy: RequireDualStack
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: {PORT}, nodePort: 30080}}]
---
apiVersion: v1
kind: Service
metadata: {{name: local}}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  ipFamilyPolicy: RequireDualStack
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: {PORT}, nodePort: 30081}}]
"""


@pytest.fixture(scope="module")
def services(cluster: Cluster, pods: Pods) -> Iterator[dict[str, list[str]]]:
    """Make Services of every kind; give their ClusterIPs by name."""
    cluster.apply(SERVICES)
    found = {one["metadata"]["name"]: one["spec"].get("clusterIPs", []) for one in cluster.items("services")}
    asking = pods.all()[0]
    for name, port in {"both": 80, "only4": 80, "only6": 80, "sticky": 80, "headless": PORT}.items():
        cluster.eventually(partial(dial, asking, f"{name}.{DOMAIN}", port), what=f"Service {name}")
    yield found
    cluster.kubectl("delete", "-f", "-", stdin=SERVICES)


def _node_address(cluster: Cluster, node: str, version: int) -> str:
    addresses = cluster.get("node", node)["status"]["addresses"]
    return next(
        str(one["address"])
        for one in addresses
        if one["type"] == "InternalIP" and ip_address(one["address"]).version == version
    )


def test_a_service_has_pods_of_all_nodes_behind_it(services: dict[str, list[str]], pods: Pods) -> None:
    """By either family, from pods on every node, and by the pod itself."""
    names = {pod.name for pod in pods.all()}
    for pod in pods.all():
        for address in services["both"]:
            assert names == set(dial(pod, address, 80, tries=12))


@pytest.mark.parametrize(("name", "version"), [("only4", 4), ("only6", 6)])
def test_a_service_of_one_family(services: dict[str, list[str]], pods: Pods, name: str, version: int) -> None:
    """Has an address of that family only, and answers by its name."""
    assert [version] == [ip_address(address).version for address in services[name]]
    assert dial(pods.all()[0], f"{name}.{DOMAIN}", 80)


def test_a_headless_service_names_its_pods(services: dict[str, list[str]], pods: Pods) -> None:
    """CoreDNS gives the pods' own addresses."""
    assert {pod.name for pod in pods.all()} >= set(
        dial(pods.all()[0], "headless.default.svc.cluster.local", PORT, tries=6)
    )


def test_a_client_stays_with_its_pod(services: dict[str, list[str]], pods: Pods) -> None:
    """Session affinity, by either family."""
    for address in services["sticky"]:
        assert 1 == len(set(dial(pods.all()[0], address, 80, tries=8)))


@pytest.mark.parametrize("version", [4, 6])
def test_a_node_port_is_open_to_the_internet(
    services: dict[str, list[str]], cluster: Cluster, pods: Pods, outside: Outside, version: int
) -> None:
    """At every node, whichever node the pod is on."""
    for node in cluster.nodes():
        at = url(_node_address(cluster, node, version), "hostname", 30080)
        found = {cluster.eventually(partial(outside.ask, at), what=f"node port of {node}") for _ in range(8)}
        assert found <= {pod.name for pod in pods.all()}


@pytest.mark.parametrize("version", [4, 6])
def test_a_local_node_port_shows_the_client(
    services: dict[str, list[str]], cluster: Cluster, outside: Outside, version: int
) -> None:
    """ExternalTrafficPolicy Local: the pod sees who asks."""
    for node in cluster.nodes():
        address = _node_address(cluster, node, version)
        seen = cluster.eventually(partial(outside.client_seen_at, address, 30081), what="a local node port")
        assert ADDRESS[version] == seen


@pytest.mark.parametrize("version", [4, 6])
def test_who_routes_a_cluster_ip_to_a_node_gets_nowhere(
    services: dict[str, list[str]], cluster: Cluster, outside: Outside, version: int
) -> None:
    """A ClusterIP is the cluster's own, though kube-proxy translates it for everybody."""
    (address,) = (one for one in services["both"] if ip_address(one).version == version)
    outside.route(f"{address}/{ip_address(address).max_prefixlen}", _node_address(cluster, cluster.nodes()[0], version))

    assert outside.refused(url(address, "hostname", 80))


def test_a_service_leads_back_to_the_asking_pod(services: dict[str, list[str]], pods: Pods) -> None:
    """Hairpin: a pod may be its own server."""
    pod = pods.all()[0]
    for address in services["both"]:
        seen = {client_of(pod.ask(url(address, "clientip", 80))) for _ in range(6)}
        assert all(seen)
