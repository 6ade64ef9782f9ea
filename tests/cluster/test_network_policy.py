"""NetworkPolicies on a real cluster: upstream's cases through Services, first packets, and why packets are dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

import pytest

from cluster.pods import Pods, url
from kind.cluster import Cluster
from kind.images import AGNHOST
from policy.cases import CASES, Case, Step, manifest, reached

SPACES, NAMES = "xyz", "abc"
PORTS = (80, 81)
CHOSEN = (1, 2, 4, 10, 15, 18, 19, 21, 22, 28, 33, 36)
EARLY, EARLY_PODS = "early", 30
TRIED = ("Succeeded", "Failed")
DENY_ALL = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def server(port: int) -> dict[str, Any]:
    """Return a container that serves a port, with the names that upstream gives them."""
    ports = [{"containerPort": port, "name": f"serve-{port}-{one}", "protocol": one.upper()} for one in ("tcp", "udp")]
    ready = {"httpGet": {"path": "/hostname", "port": port}, "periodSeconds": 1}
    arguments = ["netexec", f"--http-port={port}", f"--udp-port={port}"]
    return {"name": f"s{port}", "image": AGNHOST, "args": arguments, "ports": ports, "readinessProbe": ready}


def objects() -> Iterator[dict[str, Any]]:
    """Yield three namespaces with three pods each, and a Service for each pod."""
    for space in SPACES:
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": {"ns": space}}}
        for name in NAMES:
            metadata = {"namespace": space, "name": name, "labels": {"pod": name}}
            spread = {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchExpressions": [{"key": "pod", "operator": "Exists"}]},
            }
            spec = {
                "terminationGracePeriodSeconds": 0,
                "tolerations": [{"operator": "Exists"}],
                "topologySpreadConstraints": [spread],
                "containers": [server(port) for port in PORTS],
            }
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
            ports = [{"name": str(port), "port": port} for port in PORTS]
            selecting = {"selector": {"pod": name}, "ports": ports, "ipFamilyPolicy": "RequireDualStack"}
            yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": selecting}


class Model:
    """Upstream's nine pods on a cluster, probed through their Services in both families."""

    def __init__(self, cluster: Cluster) -> None:
        """Create them, and wait until they are ready."""
        self.cluster = cluster
        cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*objects()]}))
        for space in SPACES:
            cluster.kubectl("-n", space, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=300s")

    def remove(self) -> None:
        """Delete them."""
        self.cluster.kubectl("delete", "namespace", *SPACES)

    @cached_property
    def addresses(self) -> dict[str, tuple[str, ...]]:
        """The addresses of each pod."""
        return {
            f"{space}/{one['metadata']['name']}": tuple(ip["ip"] for ip in one["status"]["podIPs"])
            for space in SPACES
            for one in self.cluster.items("pods", "-n", space)
        }

    @cached_property
    def services(self) -> dict[str, list[str]]:
        """The ClusterIPs of each pod's Service."""
        return {
            f"{space}/{one['metadata']['name']}": one["spec"]["clusterIPs"]
            for space in SPACES
            for one in self.cluster.items("services", "-n", space)
        }

    def put(self, step: Step) -> None:
        """Have the policies and labels of a step, and no others."""
        wanted = [manifest(name, spec, self.addresses) for name, spec in step.policies.items()]
        for space in SPACES:
            mine = [one["metadata"]["name"] for one in wanted if one["metadata"]["namespace"] == space]
            there = [one["metadata"]["name"] for one in self.cluster.items("networkpolicies", "-n", space)]
            if gone := set(there) - set(mine):
                self.cluster.kubectl("-n", space, "delete", "networkpolicy", *gone)
        if wanted:
            self.cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": wanted}))
        for name, labels in step.namespaces.items():
            self._label("namespace", name, labels)
        for name, labels in step.pods.items():
            space, _, pod = name.partition("/")
            self._label("pod", pod, labels, "-n", space)

    def restore(self, case: Case) -> None:
        """Take away the policies of a case, and the labels that it has added."""
        self.put(Step({}, ()))
        for step in case.steps:
            for name, labels in step.namespaces.items():
                self._label("namespace", name, dict.fromkeys(labels, ""))
            for name, labels in step.pods.items():
                space, _, pod = name.partition("/")
                self._label("pod", pod, dict.fromkeys(labels, ""), "-n", space)

    def _label(self, kind: str, name: str, labels: Mapping[str, str], *words: str) -> None:
        changes = [f"{key}={value}" if value else f"{key}-" for key, value in labels.items()]
        self.cluster.kubectl("label", kind, name, *changes, "--overwrite", *words)

    def probed(self, port: int) -> dict[tuple[str, str], bool]:
        """Report which pods reach which, by all addresses of their Services; raise AssertionError where two differ."""
        with ThreadPoolExecutor(max_workers=4) as pool:
            found = pool.map(partial(self._from, port=port), self.services)
        return {pair: answer for of_source in found for pair, answer in of_source.items()}

    def _from(self, source: str, port: int) -> dict[tuple[str, str], bool]:
        asked = {
            url(address, "hostname", port): target
            for target, addresses in self.services.items()
            for address in addresses
            if target != source  # as upstream's tests leave a pod and itself out
        }
        space, _, pod = source.partition("/")
        wanted = ["-Zgs", "--connect-timeout", "2", "-m", "4", "-w", "%{url} %{http_code}\n"]
        outputs = [word for _ in asked for word in ("-o", "/dev/null")]
        command = ["curl", *wanted, *outputs, *asked]
        said = self.cluster.kubectl("exec", "-n", space, pod, "-c", "s80", "--", *command, check=False)
        answered = {line.split()[0] for line in said.splitlines() if line.endswith(" 200")}
        found: dict[tuple[str, str], set[bool]] = {}
        for address, target in asked.items():
            found.setdefault((source, target), set()).add(address in answered)
        differ = [pair for pair, answers in found.items() if len(answers) > 1]
        assert not differ, f"one family reaches and the other does not: {differ}"
        return {pair: answers.pop() for pair, answers in found.items()}


@pytest.fixture(scope="module")
def model(cluster: Cluster) -> Iterator[Model]:
    """Have upstream's nine pods."""
    found = Model(cluster)
    yield found
    found.remove()


def is_as_expected(model: Model, expected: str) -> bool:
    """Report whether all pairs reach each other as an expectation says; raise AssertionError with what differs."""
    port, _, table = reached(expected)
    found = model.probed(port)
    differing = {pair: answer for pair, answer in found.items() if answer is not table[pair]}
    assert not differing, f"{expected}: {differing}"
    return True


@pytest.mark.parametrize("case", [one for one in CASES if one.number in CHOSEN], ids=str)
def test_an_upstream_case_holds_through_services(model: Model, case: Case) -> None:
    """All pairs of nine pods on two nodes, by ClusterIPs of both families, after each change of policies and labels."""
    try:
        for step in case.steps:
            model.put(step)
            for expected in step.expected:
                if "/TCP" in expected:
                    model.cluster.eventually(partial(is_as_expected, model, expected), what=str(case))
    finally:
        model.restore(case)


def asking(name: str, address: str, space: str) -> dict[str, Any]:
    """Return a pod whose init container asks for a page at once, and which ends as that has gone."""
    command = ["curl", "-sgm", "5", "-o", "/dev/null", url(address, "hostname")]
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"operator": "Exists"}],
        "initContainers": [{"name": "first", "image": AGNHOST, "command": command}],
        "containers": [{"name": "end", "image": AGNHOST, "command": ["/bin/id"]}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": space, "name": name}, "spec": spec}


@pytest.fixture
def closed(cluster: Cluster) -> Iterator[str]:
    """Have a namespace whose policy denies everything, and wait until both nodes know it."""
    cluster.kubectl("create", "namespace", EARLY)
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"}}
    cluster.apply(json.dumps(policy | {"spec": DENY_ALL}), "-n", EARLY)
    for node in cluster.nodes():
        cluster.eventually(partial(knows, cluster, node, EARLY), what=f"{node} isolates the namespace")
    yield EARLY
    cluster.kubectl("delete", "namespace", EARLY)


def knows(cluster: Cluster, node: str, space: str) -> bool:
    """Report whether calls on a node know that a namespace has policies."""
    found = json.loads(cluster.on(node, "cat", "/run/slash80/policy.json"))
    return space in found["isolated"]


def ended(cluster: Cluster, space: str) -> list[dict[str, Any]]:
    """Return the pods of a namespace once all have ended, nothing before."""
    found = cluster.items("pods", "-n", space)
    return found if all(one["status"].get("phase") in TRIED for one in found) else []


def test_the_first_packet_of_a_pod_is_judged(cluster: Cluster, pods: Pods, closed: str) -> None:
    """Of 30 pods that are created at once and ask from their first instant on none is answered; others' pods are."""
    targets = [address for pod in pods.two() for address in pod.addresses]
    early = [asking(f"early-{number}", targets[number % len(targets)], closed) for number in range(EARLY_PODS)]
    free = [asking(f"free-{number}", target, "default") for number, target in enumerate(targets)]
    try:
        cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*early, *free]}))
        asked = cluster.eventually(partial(ended, cluster, closed), what="the pods have asked")
        codes = [one["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] for one in asked]
        assert codes == [28] * EARLY_PODS  # curl: the time is over
        for one in free:
            name = one["metadata"]["name"]
            cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=300s")
    finally:
        cluster.kubectl("delete", "pod", *(one["metadata"]["name"] for one in free), "--ignore-not-found")


def answer_of(said: str) -> dict[str, Any]:
    """Return what `slash80 why -o json` prints."""
    found: dict[str, Any] = json.loads(said)
    return found


def by_agent(cluster: Cluster, node: str, *question: str) -> str:
    """Ask where the agent of a node runs, with its rights."""
    found = cluster.items("pods", "-n", "slash80-system", "--field-selector", f"spec.nodeName={node}")
    agent = next(one["metadata"]["name"] for one in found if "slash80" in one["metadata"]["name"])
    return cluster.kubectl("-n", "slash80-system", "exec", agent, "--", "slash80", *question, check=False)


def by_kubeconfig(cluster: Cluster, *question: str) -> str:
    """Ask as from a workstation, by the kubeconfig of the cluster's administrator."""
    config = ["--kubeconfig", "/etc/kubernetes/admin.conf", "--state-dir", "/nonexistent"]
    return cluster.on(cluster.nodes()[0], "/opt/cni/bin/slash80", *question, *config, check=False)


@pytest.fixture
def denied(model: Model) -> Iterator[None]:
    """Have a policy that lets only x/b reach x/a."""
    case = next(one for one in CASES if one.number == 3)
    model.put(case.steps[0])
    yield
    model.restore(case)


@pytest.mark.usefixtures("denied")
@pytest.mark.parametrize("where", ["agent", "kubeconfig"])
def test_it_is_said_why_a_packet_is_dropped(model: Model, where: str) -> None:
    """On the pod's node with the agent's rights, and elsewhere by a kubeconfig: allow, drop, and by which policy."""
    cluster = model.cluster
    node = cluster.get("pod", "-n", "x", "a")["spec"]["nodeName"]
    ask: Callable[..., str] = partial(by_agent, cluster, node) if where == "agent" else partial(by_kubeconfig, cluster)

    def explained() -> bool:
        dropped = answer_of(ask("why", "y/a", "x/a", "tcp/80", "-o", "json"))
        allowed = answer_of(ask("why", "x/b", "x/a", "tcp/80", "-o", "json"))
        assert (dropped["verdict"], allowed["verdict"]) == ("drop", "allow"), (dropped, allowed)
        rules = {one["rule"] for path in dropped["paths"] for one in path["steps"] if one["result"] == "drop"}
        assert rules == {"NetworkPolicy x/p"}
        return len(dropped["paths"]) == 2

    cluster.eventually(explained, what="the policy is in force")
    shown = ask("policy", "show", "x/a")
    assert "from pods pod=b of namespace x on every port and protocol (x/p)" in shown


@pytest.mark.usefixtures("denied")
def test_it_is_said_why_a_service_leads_nowhere_for_a_stranger(model: Model) -> None:
    """A ClusterIP from outside is refused at the edge, and the policy behind it would drop it as well."""
    said = answer_of(by_kubeconfig(model.cluster, "why", "2001:db8:ffff::77", "service/x/a", "tcp/80", "-o", "json"))
    steps = {step["step"]: step["result"] for path in said["paths"] for step in path["steps"]}
    assert (steps["edge"], steps["ingress"]) == ("drop", "drop")
