"""What the manifests demand of a node and of the image."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from slash80.cli import commands

MANIFESTS = Path(__file__).parents[2] / "manifests"


def _pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the pods of every DaemonSet."""
    for path in sorted(MANIFESTS.rglob("*.yaml")):
        for one in yaml.safe_load_all(path.read_text()):
            if one.get("kind") == "DaemonSet":
                yield str(path.relative_to(MANIFESTS)), one["spec"]["template"]["spec"]


PODS = dict(_pods())
KUSTOMIZATIONS = sorted(MANIFESTS.rglob("kustomization.yaml"))


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_daemonset_runs_with_selinux_type_spc_t(pod: dict[str, Any]) -> None:
    """Pods that mount paths of the node have a privileged container's type, and leave no categories on their files."""
    assert any("hostPath" in volume for volume in pod["volumes"])
    assert {"type": "spc_t", "level": "s0"} == pod["securityContext"]["seLinuxOptions"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert "seLinuxOptions" not in container["securityContext"]


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_daemonset_runs_on_linux_amd64_only(pod: dict[str, Any]) -> None:
    """Another node keeps waiting for its network, which is visible, instead of failing to start a container."""
    assert {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"} == pod["nodeSelector"]


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_containers_run_commands_of_slash80(pod: dict[str, Any]) -> None:
    """The image has no other program and no shell."""
    for container in (*pod["initContainers"], *pod["containers"]):
        assert "command" not in container
        assert callable(commands._parser().parse_args(container["args"]).run)


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: path.parent.name)
def test_every_kustomization_finds_its_resources(path: Path) -> None:
    """Each resource that an overlay names exists beside it, so `kubectl apply -k` finds all of them."""
    resources = yaml.safe_load(path.read_text())["resources"]

    assert resources
    assert [] == [name for name in resources if not (path.parent / name).exists()]
