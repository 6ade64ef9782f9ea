"""What a user sees after `kubectl apply -k`."""

import json
from ipaddress import ip_address, ip_network

import pytest

from cluster.pods import Pods
from kind import __main__ as kind
from kind.cluster import Cluster
from lab.programs import ProgramFailed

ACCOUNT = "system:serviceaccount:slash80-system:slash80"


def test_every_pod_has_both_addresses_from_its_nodes_prefixes(cluster: Cluster, pods: Pods, primary: int) -> None:
    """PodIPs has one address of each family, the cluster's first family first; system pods too."""
    cluster.kubectl("-n", "kube-system", "rollout", "status", "deploy/coredns", "--timeout=300s")
    prefixes = {one["metadata"]["name"]: one["spec"]["podCIDRs"] for one in cluster.items("nodes")}
    assert all(sorted(ip_network(p).prefixlen for p in found) == [24, 80] for found in prefixes.values())
    found = [one for one in cluster.items("pods", "-A") if not one["spec"].get("hostNetwork")]
    assert len(found) >= 4
    for one in found:
        addresses = [ip_address(ip["ip"]) for ip in one["status"]["podIPs"]]
        assert [primary, 10 - primary] == [address.version for address in addresses]
        for address in addresses:
            assert any(address in ip_network(prefix) for prefix in prefixes[one["spec"]["nodeName"]])


def test_nodes_tell_what_they_use(cluster: Cluster) -> None:
    """Prefixes in an annotation, and conditions; the network counts as available."""
    for node in cluster.items("nodes"):
        published = json.loads(node["metadata"]["annotations"]["slash80.io/prefixes"])
        assert sorted(node["spec"]["podCIDRs"]) == sorted(published)
        conditions = {one["type"]: (one["status"], one["reason"]) for one in node["status"]["conditions"]}
        assert conditions["NetworkUnavailable"] == ("False", "Slash80Ready")
        assert conditions["Slash80IPv4Routed"] == ("True", "Routed")


def test_the_command_line_tells_the_same(cluster: Cluster, pods: Pods) -> None:
    """On a node about the node, elsewhere about all nodes."""
    node = cluster.nodes()[-1]
    found = json.loads(cluster.on(node, "/opt/cni/bin/slash80", "status", "-o", "json"))
    assert (found["node"], found["ready"], found["agent"], found["problems"]) == (node, True, True, [])
    assert {"spec"} == {one["source"] for one in found["prefixes"]}
    listed = json.loads(cluster.on(node, "/opt/cni/bin/slash80", "attachments", "-o", "json"))
    assert "web" in {one["pod"]["name"].rpartition("-")[0] for one in listed}
    assert "active" in cluster.on(node, "/opt/cni/bin/slash80", "prefixes")

    program = kind.ROOT / "build/root/opt/cni/bin/slash80"
    told = json.loads(cluster.sandbox.run([program, "status", "-o", "json"]))
    assert dict.fromkeys(cluster.nodes(), True) == {one["node"]: one["ready"] for one in told}


def test_a_look_from_inside_the_agents_pod(cluster: Cluster, pods: Pods) -> None:
    """`kubectl exec` into the agent's pod, where there is no shell, shows the node's status and its firewall."""
    agent = cluster.items("pods", "-n", "slash80-system", "-l", "app.kubernetes.io/name=slash80")[0]
    inside = ("-n", "slash80-system", "exec", agent["metadata"]["name"], "--")
    found = json.loads(cluster.kubectl(*inside, "slash80", "status", "-o", "json"))
    assert (found["node"], found["ready"], found["agent"]) == (agent["spec"]["nodeName"], True, True)
    assert found["attachments"]["ready"] >= 1
    table = cluster.kubectl(*inside, "nft", "list", "table", "inet", "slash80")
    assert table.startswith("table inet slash80 {")
    assert "chain edge" in table


def test_no_port_is_open_on_a_public_address(cluster: Cluster) -> None:
    """The agent listens on loopback only."""
    listening = cluster.on(cluster.nodes()[0], "ss", "-ltnH").splitlines()
    ours = [line.split()[3] for line in listening if line.split()[3].endswith(":9180")]
    assert ["127.0.0.1:9180"] == ours


def test_the_agent_may_do_little(cluster: Cluster) -> None:
    """It reads no secrets, changes nothing that it reads, and runs with two capabilities over a read-only root."""
    for verb, what in (
        ("list", "secrets"),
        ("create", "pods"),
        ("patch", "pods"),
        ("create", "pods/exec"),
        ("update", "networkpolicies.networking.k8s.io"),
        ("update", "nodes"),
        ("delete", "nodes"),
        ("update", "namespaces"),  # whose label opens ports
    ):
        assert "no" == cluster.kubectl("auth", "can-i", verb, what, "-A", f"--as={ACCOUNT}", check=False).split()[-1]
    agent = cluster.items("pods", "-n", "slash80-system", "-l", "app.kubernetes.io/name=slash80")[0]
    security = agent["spec"]["containers"][0]["securityContext"]
    assert {"drop": ["ALL"], "add": ["NET_ADMIN", "SYS_ADMIN"]} == security["capabilities"]
    assert security["readOnlyRootFilesystem"]


def test_a_stolen_token_changes_no_other_node(cluster: Cluster) -> None:
    """The token of one node's agent is good for that node."""
    agents = cluster.items("pods", "-n", "slash80-system", "-l", "app.kubernetes.io/name=slash80")
    own, other = (agent["spec"]["nodeName"] for agent in agents)
    bound = ["--bound-object-kind=Pod", f"--bound-object-name={agents[0]['metadata']['name']}"]
    token = cluster.kubectl("-n", "slash80-system", "create", "token", "slash80", *bound).strip()

    published = ("annotate", "--overwrite", "node")
    cluster.with_token(token, *published, own, "slash80.io/prefixes=[]")  # which the agent sets right
    with pytest.raises(ProgramFailed, match="slash80 on one node may not change another node"):
        cluster.with_token(token, *published, other, "slash80.io/prefixes=[]")


FORBIDDEN = [
    ("", {"metadata": {"labels": {"node-restriction.kubernetes.io/team": "a"}}}),
    ("", {"metadata": {"finalizers": ["example.com/kept"]}}),
    ("", {"metadata": {"annotations": {"slash80.io/prefix-override": "[]"}}}),
    ("", {"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}}),
    ("", {"spec": {"taints": [{"key": "slash80.io/not-ready", "effect": "NoSchedule"}]}}),
    ("", {"spec": {"unschedulable": True}}),
    ("/status", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
    ("/status", {"status": {"conditions": [{"type": "NetworkUnavailable", "status": "True"}]}}),
    ("/status", {"status": {"addresses": [{"type": "ExternalIP", "address": "192.0.2.1"}]}}),
    ("/status", {"status": {"capacity": {"example.com/device": "1"}}}),
    ("/status", {"metadata": {"labels": {"a": "b"}}}),
]


def test_a_stolen_token_changes_only_what_the_agent_writes(cluster: Cluster) -> None:
    """Of its own Node it may change an annotation, conditions and a taint; everything else is refused by the API."""
    agent = cluster.items("pods", "-n", "slash80-system", "-l", "app.kubernetes.io/name=slash80")[0]
    node = agent["spec"]["nodeName"]
    bound = ["--bound-object-kind=Pod", f"--bound-object-name={agent['metadata']['name']}"]
    token = cluster.kubectl("-n", "slash80-system", "create", "token", "slash80", *bound).strip()
    headers = ("-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/strategic-merge-patch+json")
    for part, document in FORBIDDEN:  # not by kubectl, which would read a status first, and may not
        page = f"https://127.0.0.1:6443/api/v1/nodes/{node}{part}?dryRun=All"
        patch = ("curl", "-skX", "PATCH", *headers, "-d", json.dumps(document), page)
        answer = json.loads(cluster.on(f"{cluster.name}-control-plane", *patch))
        assert 422 == answer.get("code"), document
        assert "slash80 may" in answer["message"]
    policy = cluster.get("validatingadmissionpolicy", "slash80-own-node")
    assert policy["status"]["observedGeneration"] == policy["metadata"]["generation"]
    assert not policy["status"].get("typeChecking", {}).get("expressionWarnings")
