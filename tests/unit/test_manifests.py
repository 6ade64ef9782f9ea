"""What the manifests demand of a node and of the image."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from slash80.cli import commands
from slash80.cluster.objects.configmap import CONFIG_MAPS
from slash80.cluster.objects.namespace import EXPOSING_NAMESPACES
from slash80.cluster.objects.node import NODES
from slash80.cluster.objects.reading import Resource
from slash80.cluster.objects.selected import NAMESPACES, NETWORK_POLICIES, PODS
from slash80.cluster.objects.servicecidr import SERVICE_CIDRS
from slash80.settings import clusterset

MANIFESTS = Path(__file__).parents[2] / "manifests"


def _pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the pods of every DaemonSet and Deployment."""
    for path in sorted(MANIFESTS.rglob("*.yaml")):
        for one in yaml.safe_load_all(path.read_text()):
            if one.get("kind") in {"DaemonSet", "Deployment"}:
                yield str(path.relative_to(MANIFESTS)), one["spec"]["template"]["spec"]


PODS_MADE = dict(_pods())
DAEMONS = {name: pod for name, pod in PODS_MADE.items() if name.endswith("daemonset.yaml")}
CLUSTERSET = "clusterset/deployment.yaml"
KUSTOMIZATIONS = sorted(MANIFESTS.rglob("kustomization.yaml"))


@pytest.mark.parametrize("pod", DAEMONS.values(), ids=DAEMONS)
def test_daemonset_runs_with_selinux_type_spc_t(pod: dict[str, Any]) -> None:
    """Pods that mount paths of the node have a privileged container's type, and leave no categories on their files."""
    assert any("hostPath" in volume for volume in pod["volumes"])
    assert {"type": "spc_t", "level": "s0"} == pod["securityContext"]["seLinuxOptions"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert "seLinuxOptions" not in container["securityContext"]


@pytest.mark.parametrize("pod", PODS_MADE.values(), ids=PODS_MADE)
def test_pods_run_on_linux_amd64_only(pod: dict[str, Any]) -> None:
    """Another node keeps waiting for its network, which is visible, instead of failing to start a container."""
    assert {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"} == pod["nodeSelector"]


@pytest.mark.parametrize("pod", PODS_MADE.values(), ids=PODS_MADE)
def test_containers_run_commands_of_slash80(pod: dict[str, Any]) -> None:
    """The image has no other program and no shell."""
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        assert "command" not in container
        assert callable(commands._parser().parse_args(container["args"]).run)


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: path.parent.name)
def test_every_kustomization_finds_its_resources(path: Path) -> None:
    """Each resource that an overlay names exists beside it, so `kubectl apply -k` finds all of them."""
    resources = yaml.safe_load(path.read_text())["resources"]

    assert resources
    assert [] == [name for name in resources if not (path.parent / name).exists()]


FOLLOWED = (NODES, SERVICE_CIDRS, EXPOSING_NAMESPACES, NAMESPACES, PODS, NETWORK_POLICIES)


@pytest.mark.parametrize("resource", FOLLOWED, ids=lambda one: one.read.__name__)
def test_the_agent_may_list_and_watch_what_it_follows(resource: Resource[Any]) -> None:
    """Without the right the list never comes, and what follows from it is not in force."""
    rules = next(one for one in yaml.safe_load_all((MANIFESTS / "base/rbac.yaml").read_text()) if "rules" in one)[
        "rules"
    ]
    group = resource.path.split("/")[2] if resource.path.startswith("/apis/") else ""
    verbs = {
        verb
        for rule in rules
        if group in rule["apiGroups"] and resource.path.rpartition("/")[2] in rule["resources"]
        for verb in rule["verbs"]
    }

    assert verbs >= {"list", "watch"}


def test_the_agent_may_read_one_config_map() -> None:
    """By its name: other ConfigMaps may hold what is not for every node, and none of them may be written."""
    (role,) = (one for one in yaml.safe_load_all((MANIFESTS / "base/rbac.yaml").read_text()) if one["kind"] == "Role")
    (rule,) = role["rules"]
    assert ["configmaps"] == rule["resources"]
    assert [clusterset.NAME] == rule["resourceNames"]
    assert ["get", "list", "watch"] == rule["verbs"]
    assert CONFIG_MAPS.path.endswith("/namespaces/slash80-system/configmaps")


def test_the_agent_may_change_nothing_but_its_node() -> None:
    """What it reads of pods, namespaces and policies it may not write: a stolen token must not open anything."""
    rules = next(one for one in yaml.safe_load_all((MANIFESTS / "base/rbac.yaml").read_text()) if "rules" in one)[
        "rules"
    ]
    granted = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    assert {("nodes", "patch"), ("nodes/status", "patch")} == {
        (resource, verb) for resource, verb in granted if verb not in {"get", "list", "watch"}
    }
    assert {"nodes"} == {resource for resource, verb in granted if verb == "get"}


def _rules(path: str) -> dict[str, set[str]]:
    """Return the verbs that a manifest grants on each resource, as `group/resource`, or with a name `…:name`."""
    found: dict[str, set[str]] = {}
    for document in yaml.safe_load_all((MANIFESTS / path).read_text()):
        for rule in document.get("rules", ()):
            for name in rule.get("resourceNames", [""]):
                for resource in rule["resources"]:
                    key = f"{rule['apiGroups'][0]}/{resource}" + (f":{name}" if name else "")
                    found.setdefault(key, set()).update(rule["verbs"])
    return found


def test_the_clusterset_s_program_has_no_rights_on_its_node() -> None:
    """It is an ordinary pod: not root, without any capability, on the pods' network, and it can write no file."""
    pod = PODS_MADE[CLUSTERSET]
    (container,) = pod["containers"]

    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & pod.keys()
    assert True is pod["securityContext"]["runAsNonRoot"]
    assert {"type": "RuntimeDefault"} == pod["securityContext"]["seccompProfile"]
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == container["securityContext"]
    assert [8180] == [port["containerPort"] for port in container["ports"]]


def test_the_clusterset_s_program_does_not_open_its_port_to_strangers() -> None:
    """Members are trusted by the firewall; an annotation that exposes the port would open it to the Internet."""
    (deployment,) = yaml.safe_load_all((MANIFESTS / CLUSTERSET).read_text())

    assert "annotations" not in deployment["spec"]["template"]["metadata"]
    assert {"type": "Recreate"} == deployment["spec"]["strategy"]
    assert 1 == deployment["spec"]["replicas"]


def test_the_clusterset_s_program_only_reads_the_file_of_members() -> None:
    """To write it would be to open every firewall; of all other ConfigMaps and Secrets it has its own two, by name."""
    rules = _rules("clusterset/rbac.yaml")
    named = {key: verbs for key, verbs in rules.items() if key.startswith(("/configmaps", "/secrets"))}

    assert {
        "/configmaps:slash80-clusterset": {"get", "list", "watch"},
        "/configmaps:slash80-clusterset-state": {"get", "patch"},
        "/secrets:slash80-clusterset": {"get", "patch"},
    } == named


def test_what_the_clusterset_s_program_writes_exists_beforehand_without_data() -> None:
    """An apply of the manifests that had the key `data` would empty both."""
    documents = [*yaml.safe_load_all((MANIFESTS / "clusterset/state.yaml").read_text())]

    assert {("Secret", "slash80-clusterset"), ("ConfigMap", "slash80-clusterset-state")} == {
        (one["kind"], one["metadata"]["name"]) for one in documents
    }
    assert not any({"data", "stringData"} & one.keys() for one in documents)


def test_no_manifest_has_the_file_of_members() -> None:
    """It is a person's: an apply of what ships must not overwrite it."""
    files = [path for path in MANIFESTS.rglob("*.yaml") for one in yaml.safe_load_all(path.read_text()) if one]
    named = [
        one["metadata"]["name"]
        for path in files
        for one in yaml.safe_load_all(path.read_text())
        if one and one.get("kind") == "ConfigMap"
    ]

    assert "slash80-clusterset" not in named
    assert "slash80-clusterset-state" in named
