"""`slash80 why` and `slash80 policy show` from a workstation, with an API server that shows a small cluster."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import members
from lab.kube import PODS, POLICIES, FakeApi, config_map, namespace, policy
from lab.kube_cluster import SERVICES, SLICES, KubeCluster, endpoints, pod, service
from slash80.settings.clusterset import KEY, NAME

Document = dict[str, Any]


def addresses(number: int, on: str = "a") -> list[str]:
    """Return addresses of a node's prefixes."""
    own = {"a": 1, "b": 2}[on]
    return [f"2001:db8:0:{own}::{number}", f"10.80.{own}.{number}"]


class Cluster(KubeCluster):
    """A cluster with two nodes and some pods, as it is asked from a workstation."""

    def __init__(self, api: FakeApi, folder: Path) -> None:
        super().__init__(api, api.start(), folder)
        self._nothing = folder / "nothing"
        for name, own in (("a", 1), ("b", 2)):
            cidrs = [f"2001:db8:0:{own}::/64", f"10.80.{own}.0/24"]
            self.put_node(name, cidrs, [f"2001:db8:1::{own}", f"192.0.2.{own}"])
        for one in (pod("shop", "web", *addresses(5)), pod("shop", "front", *addresses(6))):
            self.put(PODS, one)
        self.put(PODS, pod("far", "probe", *addresses(7, "b"), on="b"))

    def ask(self, *arguments: str) -> int:
        """Run a command where this is not a node; return its exit code."""
        return self.run(*arguments, state_dir=self._nothing)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Return a cluster with an API server, and a kubeconfig of it."""
    api = FakeApi()
    yield Cluster(api, tmp_path)
    api.stop()


def answered(cluster: Cluster, capsys: pytest.CaptureFixture[str], *question: str) -> tuple[int, Document]:
    """Return exit code and answer to a question."""
    code = cluster.ask("why", *question, "-o", "json")
    return code, json.loads(capsys.readouterr().out)


def test_a_connection_between_pods_is_explained(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Both families, alike, are one answer; the port is the only one that the pod declares."""
    assert cluster.ask("why", "far/probe", "shop/web") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "allowed: tcp/80 from pod far/probe to shop/web"
    assert lines[2] == "IPv6 allowed: 2001:db8:0:2::7 to 2001:db8:0:1::5 port 80, pod shop/web"
    assert [line.split()[0] for line in lines[3:7]] == ["source", "edge", "egress", "ingress"]
    assert lines[-1] == "1 more alike, in the other family or to other endpoints; -o json has all"


def test_a_policy_that_drops_is_named(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 1, and the step says which policy, and what would change it."""
    cluster.put(POLICIES, policy("deny", "shop", policyTypes=["Ingress"]))
    code, found = answered(cluster, capsys, "far/probe", "web", "-n", "shop", "-6")
    assert (code, found["verdict"], len(found["paths"])) == (1, "drop", 1)
    (step,) = [one for one in found["paths"][0]["steps"] if one["result"] == "drop"]
    assert (step["step"], step["rule"]) == ("ingress", "NetworkPolicy shop/deny")
    assert "to allow it, give one of them an ingress rule from namespaceSelector" in step["sentence"]


def test_a_stranger_is_stopped_at_the_edge(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """The settings follow from Nodes, ServiceCIDRs and the ConfigMap, as an agent works them out."""
    code, found = answered(cluster, capsys, "2a00::9", "shop/web", "tcp/80")
    assert (1, ["edge"]) == (code, [one["step"] for one in found["paths"][0]["steps"] if one["result"] == "drop"])
    assert found["unseen"] == []


def test_the_configmap_says_what_is_in_force(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it opens the network and does not enforce policies, neither edge nor policies drop anything."""
    cluster.put(POLICIES, policy("deny", "shop", policyTypes=["Ingress"]))
    assert cluster.ask("why", "2a00::9", "shop/web", "tcp/80") == 1
    text = "firewall: {mode: open}\npolicy: {enforce: false}\n"
    path = "/api/v1/namespaces/slash80-system/configmaps"
    cluster.api.objects[path] = {}
    cluster.api.put(path, {"metadata": {"name": "slash80"}, "data": {"config.yaml": text}})
    assert cluster.ask("why", "2a00::9", "shop/web", "tcp/80") == 0
    assert "NetworkPolicies are not enforced: policy.enforce is false" in capsys.readouterr().out


def test_an_annotation_opens_a_port_where_its_namespace_may(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """The label of the Namespace decides, as at ADD."""
    opened = pod("shop", "web", *addresses(5))
    opened["metadata"]["annotations"] = {"slash80.io/expose": "tcp/80"}
    cluster.put(PODS, opened)
    assert cluster.ask("why", "2a00::9", "shop/web", "tcp/80") == 1
    cluster.api.put("/api/v1/namespaces", namespace("shop", **{"slash80.io/allow-expose": "true"}))
    assert cluster.ask("why", "2a00::9", "shop/web", "tcp/80") == 0
    assert "by its annotation slash80.io/expose" in capsys.readouterr().out


def having_service(cluster: Cluster) -> None:
    """Give the cluster a Service that leads to two pods."""
    cluster.put(SERVICES, service("shop", "all", "fd00:10:96::7", port=8080))
    cluster.put(SLICES, endpoints("shop", "all", addresses(5)[0], addresses(6)[0], port=80))


@pytest.mark.parametrize("named", ["shop/all", "service/shop/all", "fd00:10:96::7"])
def test_a_service_leads_to_its_endpoints(cluster: Cluster, capsys: pytest.CaptureFixture[str], named: str) -> None:
    """By name or by address: policies are asked about each endpoint and its port, not about the ClusterIP."""
    having_service(cluster)
    chosen = {"matchLabels": {"app": "web"}}
    cluster.put(POLICIES, policy("deny", "shop", podSelector=chosen, policyTypes=["Ingress"]))
    code, found = answered(cluster, capsys, "far/probe", named, "tcp/8080")
    ends = {path["destination"]["name"]: (path["destination"]["port"], path["verdict"]) for path in found["paths"]}
    assert (code, ends) == (1, {"pod shop/web": (80, "drop"), "pod shop/front": (80, "allow")})


def test_a_node_port_is_asked_by_its_node(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """What comes by another node has that node's address when the pod's node sees it."""
    having_service(cluster)
    code, found = answered(cluster, capsys, "2a00::9", "node/b", "tcp/30080")
    assert code == 0
    assert "node b hides host 2a00::9 behind its own address" in json.dumps(found)


def test_a_service_without_endpoints_leads_nowhere(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """kube-proxy refuses connections to it, which no firewall has to do with."""
    cluster.put(SERVICES, service("shop", "all", "fd00:10:96::7", port=8080))
    code, found = answered(cluster, capsys, "far/probe", "shop/all")
    assert (
        1,
        "Service shop/all has no endpoint for tcp/8080 that is ready, so kube-proxy refuses connections to it.",
    ) == (
        code,
        found["paths"][0]["steps"][0]["sentence"],
    )


def test_a_pod_is_found_by_any_of_its_addresses(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Also by the second one, by which the API does not select: the node that it is routed to has the pod."""
    code, found = answered(cluster, capsys, "10.80.2.7", "10.80.1.5", "tcp/80")
    assert (0, "pod far/probe", "pod shop/web") == (code, found["source"], found["paths"][0]["destination"]["name"])


def test_a_host_port_leads_to_its_pod(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """It is looked for among the pods of the node that is asked."""
    ports = [{"ports": [{"containerPort": 80, "hostPort": 8443}]}]
    cluster.put(PODS, pod("shop", "proxy", *addresses(8), containers=ports))
    code, found = answered(cluster, capsys, "2a00::9", "node/a", "tcp/8443")
    assert (0, "pod shop/proxy") == (code, found["paths"][0]["destination"]["name"])


def test_what_may_not_be_read_is_said_and_not_taken_for_allowed(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person who may not list the policies of a namespace learns that, and exit code 1."""
    cluster.api.forbidden.add("networkpolicies")
    code, found = answered(cluster, capsys, "far/probe", "shop/web")
    assert (1, "unknown") == (code, found["verdict"])
    assert "NetworkPolicies of namespace shop: 403 as the test wants it" in found["unseen"]


def test_endpoints_that_may_not_be_read_leave_the_answer_open(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Service without endpoints and one whose endpoints are hidden are not the same."""
    having_service(cluster)
    cluster.api.forbidden.add("endpointslices")
    code, found = answered(cluster, capsys, "far/probe", "shop/all")
    assert (1, "unknown") == (code, found["verdict"])


def test_an_address_whose_pod_may_not_be_seen_leaves_the_answer_open(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who may not list Pods of all namespaces does not learn whose it is, and policies may select that pod."""
    cluster.api.forbidden.add("/api/v1/pods?")
    code, found = answered(cluster, capsys, addresses(7, "b")[0], "shop/web", "tcp/80")
    assert (1, "unknown") == (code, found["verdict"])
    assert "it could not be read whether 2001:db8:0:2::7 is a pod's" in found["paths"][0]["steps"][0]["sentence"]


def test_the_right_to_list_is_enough(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """As an agent's service account has it, which may not get a single Pod or Namespace."""
    cluster.api.forbidden |= {"pods/", "configmaps"}
    code, found = answered(cluster, capsys, "far/probe", "shop/web")
    assert [one["step"] for one in found["paths"][0]["steps"]] == ["source", "edge", "egress", "ingress"]
    assert (code, found["unseen"]) == (1, ["ConfigMap slash80-system/slash80: 403 as the test wants it"])


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (["shop/web", "2a00::9"], "which port is meant? Write it after the destination as tcp/80, or icmp for a ping"),
        (["shop/web", "shop/front", "http"], "'http' is not a protocol with a port; write it as tcp/80"),
        (["shop/web", "a/b/c", "tcp/1"], "'a/b/c' is not a name; write namespace/name, node/NAME"),
        (["shop/web", "shop/front", "tcp/70000"], "'tcp/70000' is not a protocol with a port"),
    ],
)
def test_misuse_is_exit_code_2(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], question: list[str], said: str
) -> None:
    """With the next step."""
    assert cluster.ask("why", *question) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (["shop/gone", "shop/web"], "there is no pod shop/gone"),
        (["shop/web", "node/gone", "tcp/1"], "there is no node gone"),
        (["2a00::9", "2a00::10", "tcp/1"], "neither host 2a00::9 nor 2a00::10 is a pod, a Service or a node"),
        (["shop/web", "shop/gone", "tcp/1"], "there is no pod or Service shop/gone"),
    ],
)
def test_who_is_not_there_is_a_failure(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], question: list[str], said: str
) -> None:
    """With the name as it was understood."""
    assert cluster.ask("why", *question) == 1
    assert said in capsys.readouterr().err


def test_an_api_that_is_away_is_a_failure(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is guessed without it."""
    cluster.api.stop()
    assert cluster.ask("why", "shop/web", "shop/front") == 1
    assert "cannot be reached" in capsys.readouterr().err


def test_policies_of_a_pod_are_shown_in_words(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """What isolates it, what it may receive, and that it may send everything."""
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "front"}}}], "ports": [{"port": 80}]}
    cluster.put(POLICIES, policy("web", "shop", ingress=[rule]))
    cluster.put(POLICIES, policy("deny", "shop", policyTypes=["Ingress"]))
    assert cluster.ask("policy", "show", "shop/web") == 0
    assert capsys.readouterr().out.splitlines() == [
        "pod        shop/web, 2001:db8:0:1::5, 10.80.1.5, on node a",
        "ingress    isolated by shop/deny, shop/web; beside its own node and answers it may receive",
        "           from pods app=front of namespace shop on tcp/80 (shop/web)",
        "egress     not isolated: it may send everything that the firewall lets pass",
    ]


def test_a_policy_that_cannot_be_used_is_shown_with_its_reason(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """It isolates the pod and allows nothing, and the exit code is 1; its words cannot command the terminal."""
    cluster.put(POLICIES, policy("bad\x1b[2J", "shop", ingress="\x1b]0;owned\x07"))
    assert cluster.ask("policy", "show", "web", "-n", "shop") == 1
    out = capsys.readouterr().out
    assert "shop/bad\\x1b[2J cannot be used and allows nothing" in out
    assert "\x1b" not in out


def test_a_policy_that_this_nodes_kernel_refuses_is_shown_with_its_reason(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As the agent of the pod's node reports it; about pods of other nodes that says nothing."""
    message = "NetworkPolicy shop/odd is not in force on this node"
    details = [{"reason": "PolicyRefused", "subject": "NetworkPolicy shop/odd", "message": message}]
    cluster.put(POLICIES, policy("odd", "shop", ingress=[{}]))
    for node, code in (("a", 1), ("b", 0)):
        (tmp_path / "agent.json").write_text(json.dumps({"node": node, "problemDetails": details}))
        assert code == cluster.run("policy", "show", "shop/web", state_dir=tmp_path)
        said = f"shop/odd cannot be used and allows nothing: {message}" in capsys.readouterr().out
        assert said is bool(code)


def test_hostile_labels_do_not_command_the_terminal(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """An API server, or who may write to it, does not write to a person's terminal."""
    hostile = pod("far", "probe", *addresses(7, "b"), on="b")
    hostile["metadata"]["labels"] = {"x\x1b[31m": "\r\nallowed"}
    cluster.put(PODS, hostile)
    cluster.put(POLICIES, policy("deny", "shop", policyTypes=["Ingress"]))
    assert cluster.ask("why", "far/probe", "shop/web") == 1
    out = capsys.readouterr().out
    assert "x\\x1b[31m=\\r\\nallowed" in out
    assert "\x1b" not in out


def test_the_policies_of_a_pod_in_its_nodes_network_are_none(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """No policy can select it, so none is shown."""
    cluster.put(PODS, pod("shop", "host", *addresses(9), hostNetwork=True))
    assert cluster.ask("policy", "show", "shop/host") == 0
    assert "none can apply: the pod has its node's network, or has ended" in capsys.readouterr().out


def test_a_member_of_the_clusterset_is_named(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """What its ConfigMap says is worked out as an agent does, and a mistake in it is a note."""
    entries = [
        members.entry(1, id="eu", prefixes=["2001:db8:0:1::/64"]),
        members.entry(2, id="us", prefixes=["2a00::/32"]),
    ]
    path = "/api/v1/namespaces/slash80-system/configmaps"
    cluster.api.put(path, config_map(NAME, **{KEY: members.text(*entries)}))
    code, found = answered(cluster, capsys, "2a00::9", "shop/web", "tcp/80")
    (step,) = [one for one in found["paths"][0]["steps"] if one["step"] == "edge"]
    assert (0, "clusterset") == (code, step["rule"])
    assert "member us of clusterset shop" in step["sentence"]

    in_services = members.entry(2, id="us", prefixes=["10.96.0.0/16"])
    for text, words in (("members: [", NAME), (members.text(entries[0], in_services), "only the node knows")):
        cluster.api.put(path, config_map(NAME, **{KEY: text}))
        code, found = answered(cluster, capsys, "2a00::9", "shop/web", "tcp/80")
        assert 1 == code
        assert any(words in note for note in found["unseen"])
