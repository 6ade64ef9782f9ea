"""`slash80 clusterset` on a real API server: its merge patches, its applies, and what it finds to delete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from kind import __main__ as kind
from lab.control_plane import SERVER, ControlPlane
from lab.programs import ProgramFailed
from lab.waiting import wait_until
from slash80.cli import commands
from slash80.clusterset import identity
from slash80.clusterset.documents import MANAGER
from unit.cli.clusterset.test_corefile import KUBEADM

MANIFESTS, OWN = kind.ROOT / "manifests", "slash80-system"
MCS = "multicluster.x-k8s.io/v1beta1"
SLICE = {"endpointslice.kubernetes.io/managed-by": MANAGER}
OURS = {"app.kubernetes.io/managed-by": MANAGER}
KINDS = "configmaps,deployments,services,endpointslices,serviceimports,serviceexports,clusterproperties"


class Person:
    """A kubeconfig with a context for the cluster, and a place for the file."""

    def __init__(self, control_plane: ControlPlane, folder: Path) -> None:
        self._control_plane, self._config, self.file = control_plane, folder / "kubeconfig", folder / "world.yaml"
        cluster = {"server": SERVER, "certificate-authority": str(control_plane.authority)}
        config = {
            "contexts": [{"name": "eu", "context": {"cluster": "eu", "user": "me"}}],
            "clusters": [{"name": "eu", "cluster": cluster}],
            "users": [{"name": "me", "user": {"token": control_plane._token}}],
        }
        self._config.write_text(json.dumps(config))

    def run(self, command: str, *arguments: str) -> int:
        """Run a command; return its exit code."""
        line = ["clusterset", command, *arguments, "--kubeconfig", str(self._config), "eu"]
        return self._control_plane.run(partial(commands.main, line))


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Provide an API server with the manifests, whose program has its key."""
    with ControlPlane(kind.CLUSTER_TOOLS, tmp_path_factory.mktemp("control-plane")) as found:
        found.kubectl("create", "-f", MANIFESTS / "base/namespace.yaml")
        found.kubectl("create", "-k", MANIFESTS / "mcs-crds")
        found.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
        found.kubectl("apply", "-k", MANIFESTS / "clusterset")
        data = json.dumps({"data": identity.create().data()})
        found.kubectl("patch", "secret", "slash80-clusterset", "-n", OWN, "--type=merge", "-p", data)
        prefixes = json.dumps({"firewall": {"clusterPrefixes": ["2001:db8:1::/56"]}})
        found.kubectl("create", "configmap", "slash80", "-n", OWN, f"--from-literal=config.yaml={prefixes}")
        wait_until(partial(_served, found))
        yield found


def _served(control_plane: ControlPlane) -> bool:
    """Report whether the new kinds can be listed, which they can some moments after they were created."""
    try:
        control_plane.kubectl("get", KINDS)
    except ProgramFailed:
        return False
    return True


@pytest.fixture
def person(control_plane: ControlPlane, tmp_path: Path) -> Person:
    """Provide a person."""
    return Person(control_plane, tmp_path)


def test_a_file_is_made_and_applied(person: Person, control_plane: ControlPlane) -> None:
    """The API server keeps the text as it is, a second time nothing is written, and another writer's is left alone."""
    at = ("--at", "eu.example.net:8180")
    assert 0 == person.run("add", "-f", str(person.file), "--namespaces", "*", *at)
    assert 0 == person.run("apply", "-f", str(person.file), "--yes")
    first = control_plane.get("configmap", "slash80-clusterset", "-n", OWN)
    assert person.file.read_text() == first["data"]["clusterset.yaml"]
    assert 0 == person.run("apply", "-f", str(person.file))
    control_plane.kubectl("delete", "configmap", "slash80-clusterset", "-n", OWN)
    control_plane.kubectl(
        "create", "configmap", "slash80-clusterset", "-n", OWN, "--from-literal=clusterset.yaml=other"
    )
    assert 1 == person.run("apply", "-f", str(person.file), "--yes")
    assert 0 == person.run("apply", "-f", str(person.file), "--yes", "--force")


def test_coredns_is_changed_once(person: Person, control_plane: ControlPlane) -> None:
    """Both changes are merge patches at a version, which the API server takes; a second time there is no change."""
    system, image = ("-n", "kube-system"), "--image=registry.k8s.io/coredns/coredns:v1.12.4"
    control_plane.kubectl("create", "configmap", "coredns", *system, f"--from-literal=Corefile={KUBEADM}")
    control_plane.kubectl("create", "deployment", "coredns", *system, image)
    control_plane.kubectl("create", "clusterrole", "system:coredns", "--verb=list,watch", "--resource=services")

    assert 0 == person.run("dns", "--apply")
    corefile = control_plane.get("configmap", "coredns", *system)
    rules = control_plane.get("clusterrole", "system:coredns")
    assert "multicluster clusterset.local" in corefile["data"]["Corefile"]
    assert [["services"], ["serviceimports"]] == [rule["resources"] for rule in rules["rules"]]
    assert 0 == person.run("dns", "--apply")
    assert corefile == control_plane.get("configmap", "coredns", *system)
    assert rules == control_plane.get("clusterrole", "system:coredns")


def test_leaving_leaves_only_what_people_wrote(person: Person, control_plane: ControlPlane) -> None:
    """Objects with our labels go; a ServiceExport stays, without the conditions that our manager has applied."""
    control_plane.kubectl("create", "namespace", "shop")
    named = {"name": "derived-1", "namespace": "shop"}
    port = [{"name": "a", "port": 1}]
    objects = [
        {"apiVersion": MCS, "kind": "ServiceExport", "metadata": {"name": "db", "namespace": "shop"}},
        {"apiVersion": MCS, "kind": "ServiceImport", "metadata": named | {"labels": OURS}}
        | {"spec": {"type": "ClusterSetIP", "ports": [{"port": 1}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": named | {"labels": OURS}, "spec": {"ports": port}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": named | {"labels": SLICE}}
        | {"addressType": "IPv6", "endpoints": []},
    ]
    control_plane.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    when = {"lastTransitionTime": "2026-11-28T12:00:00Z", "message": "", "reason": "Ready"}
    status = {"status": {"conditions": [{"type": "Ready", "status": "True"} | when]}}
    path = f"/apis/{MCS}/namespaces/shop/serviceexports/db/status"
    apply = partial(control_plane.admin.apply, path, objects[0] | status, manager=MANAGER, force=True)
    control_plane.run(apply)

    assert 0 == person.run("leave", "--yes")
    assert not control_plane.get("serviceimports,services,endpointslices", "-n", "shop")["items"]
    assert not control_plane.get("serviceexport", "db", "-n", "shop").get("status", {}).get("conditions")
    assert not control_plane.get("deployments", "-n", OWN)["items"]
    assert 0 == person.run("leave")
