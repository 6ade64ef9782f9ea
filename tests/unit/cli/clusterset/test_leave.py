"""`slash80 clusterset leave`: nothing of ours is left, nothing of anyone else's is touched."""

import argparse
import json
from typing import Any

import pytest

from lab.kube import NAMESPACES, PODS, FakeApi, namespace, pod
from slash80.cli.clusterset.leave import leave
from slash80.clusterset.documents import MANAGER
from unit.cli.clusterset.clusters import DEPLOYMENTS, IMPORTS, Clusters
from unit.cli.clusterset.members import file_of
from unit.clocks import SteppedClock

SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
EXPORTS = "/apis/multicluster.x-k8s.io/v1beta1/serviceexports"
PROPERTIES = "/apis/about.k8s.io/v1beta1/clusterproperties"
LABEL, SLICE_LABEL = "app.kubernetes.io/managed-by", "endpointslice.kubernetes.io/managed-by"
PROGRAM_PODS = "/api/v1/namespaces/slash80-system/pods"


def put(api: FakeApi, path: str, name: str, label: str = "", owner: str = MANAGER) -> None:
    """Have an object of namespace `shop`, or of the cluster."""
    metadata: dict[str, Any] = {"name": name, "uid": f"{path}/{name}", "labels": {label: owner} if label else {}}
    if path != PROPERTIES:
        metadata["namespace"] = "shop"
    api.put(path, {"metadata": metadata})


@pytest.fixture
def api(clusters: Clusters) -> FakeApi:
    """Return the API server of the cluster `eu`, which is a member, with objects of others beside ours."""
    api = clusters.apis["eu"]
    api.objects |= {path: {} for path in (SERVICES, SLICES, EXPORTS, PROPERTIES)}
    api.objects[PROGRAM_PODS] = api.objects[PODS]
    api.put(NAMESPACES, namespace("shop"))
    api.objects[DEPLOYMENTS]["slash80-system/slash80-clusterset"]["metadata"]["uid"] = "program"
    clusters.has_file("eu", file_of("eu", "us"))
    for path, label in ((IMPORTS, LABEL), (SERVICES, LABEL), (SLICES, SLICE_LABEL)):
        put(api, path, "derived-1", label)
        put(api, path, "theirs", label, "another")
        put(api, path, "bare")
    put(api, PROPERTIES, "cluster.clusterset.k8s.io", LABEL)
    put(api, PROPERTIES, "location.example.org")
    put(api, EXPORTS, "db")
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    body = {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "metadata": {}, "status": status}
    path = EXPORTS.replace("/serviceexports", "/namespaces/shop/serviceexports/db/status")
    api.writes.apply(path, body, manager=MANAGER, force=True)
    return api


def left(api: FakeApi) -> set[str]:
    """Return the names of what is there, of the kinds that are written."""
    kinds = (DEPLOYMENTS, IMPORTS, SERVICES, SLICES, PROPERTIES, EXPORTS)
    return {key for path in kinds for key in api.objects[path]}


def test_what_is_ours_goes_and_nothing_else(clusters: Clusters, api: FakeApi) -> None:
    """The program, the file, imports, derived Services, slices and properties go; exports stay without conditions."""
    assert 0 == clusters.run("leave", "--yes", "eu")
    assert {"shop/theirs", "shop/bare", "shop/db", "location.example.org"} == left(api)
    assert clusters.file("eu") is None
    assert not api.objects[EXPORTS]["shop/db"].get("status", {}).get("conditions")


def test_what_will_go_is_shown_and_what_stays_is_said(
    clusters: Clusters, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    """People see kinds, counts and names before, and afterwards where the cluster is still trusted."""
    clusters.run("leave", "--yes", "eu")
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()]
    assert ["eu", "ServiceImport", "1", "shop/derived-1"] in rows
    assert ["eu", "conditions", "of", "ServiceExport", "1", "shop/db"] in rows
    assert "eu: the file of the other clusters still trusts it: strike its entry there" in out
    # the Deployment is gone already, which kubectl takes for an error without that
    assert "kubectl --context eu delete -k manifests/clusterset --ignore-not-found" in out


def test_a_second_time_there_is_nothing_to_do(
    clusters: Clusters, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    """It needs no consent then, and the exit code is 0."""
    clusters.run("leave", "--yes", "eu")
    capsys.readouterr()

    assert 0 == clusters.run("leave", "eu")
    assert "eu: nothing of a clusterset is there\n" == capsys.readouterr().out


def test_without_consent_nothing_goes(clusters: Clusters, api: FakeApi, terminal: list[str]) -> None:
    """A person who does not say yes keeps everything."""
    before = left(api)
    terminal.append("n\n")

    assert 1 == clusters.run("leave", "eu")
    assert before == left(api)
    assert clusters.file("eu") is not None


def run(clusters: Clusters, clock: SteppedClock) -> int:
    """Run the command by another clock than the kernel's."""
    chosen = argparse.Namespace(contexts=["eu"], kubeconfig=clusters.kubeconfig, output="json", yes=True)
    return leave(chosen, clock)


def running(api: FakeApi) -> None:
    """Have a pod of the program."""
    found = pod("p", "slash80-system", "p")
    found["metadata"]["labels"] = {"app.kubernetes.io/name": "slash80-clusterset"}
    api.put(PODS, found)


def test_the_program_has_ended_before_its_objects_go(clusters: Clusters, api: FakeApi) -> None:
    """While its pod ends, the program may still write, and what it writes goes as well."""
    clock = SteppedClock()
    running(api)

    def ends() -> None:
        put(api, IMPORTS, "late", LABEL)
        api.remove(PODS, "slash80-system/p")

    clock.at(9, ends)

    assert 0 == run(clusters, clock)
    assert {"shop/theirs", "shop/bare", "shop/db", "location.example.org"} == left(api)


def test_a_pod_that_does_not_end_is_named(clusters: Clusters, api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    """After a minute nothing else is deleted, and the next time it goes on."""
    running(api)

    assert 1 == run(clusters, SteppedClock())
    (document,) = json.loads(capsys.readouterr().out)
    assert "pod p did not go within a minute" in document["problem"]
    assert clusters.file("eu") is not None
    api.remove(PODS, "slash80-system/p")
    assert 0 == run(clusters, SteppedClock())
    assert clusters.file("eu") is None


def test_one_cluster_that_fails_does_not_stop_the_others(
    clusters: Clusters, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others leave, and the exit code is 1."""
    clusters.apis["us"].forbidden.add("deployments")

    assert 1 == clusters.run("leave", "--yes", "-o", "json", "us", "eu")
    us, eu = json.loads(capsys.readouterr().out)
    assert (False, True) == (us["done"], eu["done"])
    assert {"ServiceImport": 1, "Service": 1, "EndpointSlice": 1, "Deployment": 1}.items() <= eu["found"].items()


def test_a_cluster_without_the_custom_resources_can_leave(clusters: Clusters, api: FakeApi) -> None:
    """Kinds that are not there have no objects."""
    for path in (IMPORTS, EXPORTS, PROPERTIES):
        del api.objects[path]

    assert 0 == clusters.run("leave", "--yes", "eu")
    assert clusters.file("eu") is None
