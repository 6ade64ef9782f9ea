"""What the program of a clusterset may do, by its own token on a real API server: it faces the Internet."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from kind import __main__ as kind
from lab.control_plane import ControlPlane
from lab.programs import ProgramFailed
from lab.waiting import wait_until
from slash80.clusterset import dry_run
from slash80.clusterset.dry_run import families, restricted
from slash80.clusterset.own_objects import OwnObjects
from slash80.clusterset.service_ranges import service_ranges

MANIFESTS = kind.ROOT / "manifests"
OWN, TEAM = "slash80-system", "shop"
OURS = {"app.kubernetes.io/managed-by": "clusterset.slash80.io"}
OUR_SLICE = {"endpointslice.kubernetes.io/managed-by": "clusterset.slash80.io"}
SERVICES, SLICES = f"/api/v1/namespaces/{TEAM}/services", f"/apis/discovery.k8s.io/v1/namespaces/{TEAM}/endpointslices"
MCS = f"/apis/multicluster.x-k8s.io/v1beta1/namespaces/{TEAM}"
EXPORTS, IMPORTS = f"{MCS}/serviceexports", f"{MCS}/serviceimports"
PROPERTIES = "/apis/about.k8s.io/v1beta1/clusterproperties"
MAPS, SECRETS = f"/api/v1/namespaces/{OWN}/configmaps", f"/api/v1/namespaces/{OWN}/secrets"
APPLY, MERGE = "apply-patch+yaml", "merge-patch+json"
Document = dict[str, Any]


def service(name: str = "derived-abc", labels: Document | None = None, **spec: Any) -> Document:  # noqa: ANN401 -- JSON
    """Return a Service, a derived one unless it says otherwise."""
    spec = {"ports": [{"name": "http", "port": 80}], **spec}
    metadata = {"name": name, "namespace": TEAM, "labels": OURS if labels is None else labels}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def endpoint_slice(name: str = "ours", **labels: str) -> Document:
    """Return an EndpointSlice with labels, of no Service unless one of them says which."""
    metadata = {"name": name, "namespace": TEAM, "labels": labels}
    endpoints = [{"addresses": ["2001:db8:9::1"]}]
    kind = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}
    return {**kind, "metadata": metadata, "addressType": "IPv6", "endpoints": endpoints, "ports": []}


def service_import(name: str = "web", labels: Document | None = None) -> Document:
    """Return a ServiceImport."""
    metadata = {"name": name, "namespace": TEAM, "labels": OURS if labels is None else labels}
    spec = {"type": "ClusterSetIP", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    return {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceImport", "metadata": metadata, "spec": spec}


def cluster_property(name: str) -> Document:
    """Return a ClusterProperty."""
    kind = {"apiVersion": "about.k8s.io/v1beta1", "kind": "ClusterProperty"}
    return {**kind, "metadata": {"name": name}, "spec": {"value": "eu"}}


def of_service(name: str) -> Document:
    """Return the labels of one of our EndpointSlices for a Service."""
    return {**OUR_SLICE, "kubernetes.io/service-name": name}


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Provide an API server with the manifests, and with objects of other owners."""
    with ControlPlane(kind.CLUSTER_TOOLS, tmp_path_factory.mktemp("control-plane")) as found:
        found.kubectl("create", "-f", MANIFESTS / "base/namespace.yaml")
        found.kubectl("create", "namespace", TEAM)
        found.kubectl("create", "-k", MANIFESTS / "mcs-crds")
        found.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
        found.kubectl("apply", "-k", MANIFESTS / "clusterset")
        found.kubectl("create", "configmap", "slash80-clusterset", "-n", OWN)
        found.kubectl("create", "secret", "generic", "other", "-n", OWN)
        others = [service("theirs", {}), service("derived-theirs", {}), endpoint_slice("theirs")]
        others += [service_import("theirs", {}), {**service_import("web"), "kind": "ServiceExport", "spec": {}}]
        for one in others:
            wait_until(partial(_created, found, one))  # a new kind is served some moments later
        yield found


def _created(control_plane: ControlPlane, document: Document) -> bool:
    try:
        control_plane.kubectl("apply", "-f", "-", stdin=json.dumps(document))
    except ProgramFailed:
        return False
    return True


@pytest.fixture(scope="module")
def token(control_plane: ControlPlane) -> str:
    """Provide a token of the program's account, for which the admission policy is in force."""
    found = control_plane.token(OWN, "slash80-clusterset")
    probe = service("not-derived")
    wait_until(lambda: control_plane.answer(found, "POST", f"{SERVICES}?dryRun=All", probe)[0] in {403, 422})
    return found


Answer = tuple[int, str]
_AS_OURS = "?fieldManager=clusterset.slash80.io&force=true"
OWN_OBJECTS = {
    "a derived Service": (SERVICES, service()),
    "a derived Service for two families": (SERVICES, service(ipFamilyPolicy="PreferDualStack")),
    "an EndpointSlice of a derived Service": (SLICES, endpoint_slice(**of_service("derived-abc"))),
    "an EndpointSlice of no Service": (SLICES, endpoint_slice(**OUR_SLICE)),
    "an EndpointSlice of a Service without a name": (SLICES, endpoint_slice(**of_service(""))),
    "a ServiceImport": (IMPORTS, service_import("api")),
    "the cluster's id": (PROPERTIES, cluster_property("cluster.clusterset.k8s.io")),
    "the clusterset's name": (PROPERTIES, cluster_property("clusterset.k8s.io")),
}


@pytest.mark.parametrize(("folder", "document"), OWN_OBJECTS.values(), ids=OWN_OBJECTS)
def test_the_account_creates_changes_and_deletes(
    control_plane: ControlPlane, token: str, folder: str, document: Document
) -> None:
    """By server-side apply, by which it writes, each object of its own can be created, changed and deleted."""
    path, metadata = f"{folder}/{document['metadata']['name']}", document["metadata"]
    changed = {**document, "metadata": {**metadata, "annotations": {"slash80.io/seen": "1"}}}

    assert (201, "") == _status(control_plane.answer(token, "PATCH", path + _AS_OURS, document, kind=APPLY))
    assert (200, "") == _status(control_plane.answer(token, "PATCH", path + _AS_OURS, changed, kind=APPLY))
    assert (200, "") == _status(control_plane.answer(token, "DELETE", path))


def _status(answer: Answer) -> Answer:
    """Return an answer without its text where it is well."""
    return (answer[0], "") if answer[0] < 300 else answer


CHANGES = {
    "status of a ServiceExport": (f"{EXPORTS}/web/status", {"status": {"conditions": []}}),
    "its state": (f"{MAPS}/slash80-clusterset-state", {"data": {"state.json": "{}"}}),
    "its Secret": (f"{SECRETS}/slash80-clusterset", {"data": {"tls.key": "YQ=="}}),
}


@pytest.mark.parametrize(("path", "patch"), CHANGES.values(), ids=CHANGES)
def test_the_account_changes_what_exists(control_plane: ControlPlane, token: str, path: str, patch: Document) -> None:
    """What it does not create it may change, and it may read it."""
    assert (200, "") == _status(control_plane.answer(token, "PATCH", path, patch, kind=MERGE))
    assert (200, "") == _status(control_plane.answer(token, "GET", path.removesuffix("/status")))


LISTS = [
    "/api/v1/services",
    "/api/v1/namespaces",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/apis/multicluster.x-k8s.io/v1beta1/serviceexports",
    "/apis/multicluster.x-k8s.io/v1beta1/serviceimports",
    "/apis/multicluster.x-k8s.io/v1alpha1/serviceexports",
    PROPERTIES,
    f"{MAPS}?fieldSelector=metadata.name%3Dslash80-clusterset",
]


@pytest.mark.parametrize("path", LISTS)
def test_the_account_lists_and_watches(control_plane: ControlPlane, token: str, path: str) -> None:
    """What it exports and imports, and the file of the clusterset, it follows by lists and watches."""
    watch = f"{path}{'&' if '?' in path else '?'}watch=1&timeoutSeconds=1"

    assert (200, "") == _status(control_plane.answer(token, "GET", path))
    assert (200, "") == _status(control_plane.answer(token, "GET", watch))


def test_agents_read_that_file_and_no_other_config_map(control_plane: ControlPlane) -> None:
    """They follow it by its name, which is all that a right to one object lets them select; and they write none."""
    control_plane.kubectl("apply", "-k", MANIFESTS / "base")
    token = control_plane.token(OWN, "slash80")

    def asked(method: str, path: str, body: object = None) -> int:
        return control_plane.answer(token, method, f"{MAPS}{path}", body, kind=MERGE)[0]

    of_one = "?fieldSelector=metadata.name%3Dslash80-clusterset"
    wait_until(lambda: asked("GET", of_one) == 200)  # a new right is in force some moments later
    assert asked("GET", f"{of_one}&watch=1&timeoutSeconds=1") == 200
    others = ["", "?fieldSelector=metadata.name%3Dslash80", "/slash80-clusterset-state", "?watch=1&timeoutSeconds=1"]
    assert [asked("GET", path) for path in others] == [403] * 4
    assert [asked(method, "/slash80-clusterset", {}) for method in ("PATCH", "DELETE")] == [403] * 2


_SELECTED: Document = {"selector": {"app": "bank"}}
FORBIDDEN: dict[str, tuple[str, str, object, str]] = {
    # by the rights
    "writing the file that opens firewalls": ("PATCH", f"{MAPS}/slash80-clusterset", {"data": {}}, MERGE),
    "deleting that file": ("DELETE", f"{MAPS}/slash80-clusterset", None, "json"),
    "making a ConfigMap": ("POST", MAPS, {"metadata": {"name": "new"}}, "json"),
    "reading the agents' settings": ("GET", f"{MAPS}/slash80", None, "json"),
    "listing ConfigMaps": ("GET", MAPS, None, "json"),
    "deleting its state": ("DELETE", f"{MAPS}/slash80-clusterset-state", None, "json"),
    "reading another Secret": ("GET", f"{SECRETS}/other", None, "json"),
    "listing Secrets": ("GET", SECRETS, None, "json"),
    "deleting its Secret": ("DELETE", f"{SECRETS}/slash80-clusterset", None, "json"),
    "reading Pods": ("GET", "/api/v1/pods", None, "json"),
    "reading Nodes": ("GET", "/api/v1/nodes", None, "json"),
    "writing a ServiceExport": ("PATCH", f"{EXPORTS}/web", {"spec": {}}, MERGE),
    "deleting a ServiceExport": ("DELETE", f"{EXPORTS}/web", None, "json"),
    "deleting all Services": ("DELETE", SERVICES, None, "json"),
    "status of a Service": ("PATCH", f"{SERVICES}/theirs/status", {"status": {"loadBalancer": {}}}, MERGE),
    "another ClusterProperty": ("PATCH", f"{PROPERTIES}/other{_AS_OURS}", cluster_property("other"), APPLY),
    "writing a CustomResourceDefinition": (
        "DELETE",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/serviceexports.multicluster.x-k8s.io",
        None,
        "json",
    ),
    # by the admission policy
    "a Service of another name": ("POST", SERVICES, service("web"), "json"),
    "a Service without the label": ("POST", SERVICES, service(labels={}), "json"),
    "a Service of another manager": ("POST", SERVICES, service(labels=dict.fromkeys(OURS, "x")), "json"),
    "a Service with a selector": ("POST", SERVICES, service(**_SELECTED), "json"),
    "a Service with an external address": ("POST", SERVICES, service(externalIPs=["192.0.2.7"]), "json"),
    "a NodePort": ("POST", SERVICES, service(type="NodePort"), "json"),
    "a load balancer": ("POST", SERVICES, service(type="LoadBalancer"), "json"),
    "a name of another host": ("POST", SERVICES, service(type="ExternalName", externalName="x.example"), "json"),
    "taking over a Service": (
        "PATCH",
        f"{SERVICES}/derived-theirs",
        {"metadata": {"labels": OURS}},
        MERGE,
    ),
    "a Service of a person by server-side apply": ("PATCH", f"{SERVICES}/theirs{_AS_OURS}", service("theirs"), APPLY),
    "deleting a Service of a person": ("DELETE", f"{SERVICES}/theirs", None, "json"),
    "an EndpointSlice of a person's Service": ("POST", SLICES, endpoint_slice(**of_service("theirs")), "json"),
    "an EndpointSlice without the label": ("POST", SLICES, endpoint_slice(), "json"),
    "taking over an EndpointSlice": ("PATCH", f"{SLICES}/theirs", {"metadata": {"labels": OUR_SLICE}}, MERGE),
    "deleting an EndpointSlice of another manager": ("DELETE", f"{SLICES}/theirs", None, "json"),
    "a ServiceImport without the label": ("POST", IMPORTS, service_import(labels={}), "json"),
    "taking over a ServiceImport": ("PATCH", f"{IMPORTS}/theirs", {"metadata": {"labels": OURS}}, MERGE),
    "status of another's ServiceImport": ("PATCH", f"{IMPORTS}/theirs/status", {"status": {"clusters": []}}, MERGE),
    "deleting another's ServiceImport": ("DELETE", f"{IMPORTS}/theirs", None, "json"),
}


@pytest.mark.parametrize(("method", "path", "body", "kind"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_the_account_is_refused(
    control_plane: ControlPlane, token: str, method: str, path: str, body: object, kind: str
) -> None:
    """Whatever could redirect a connection, open a firewall or read a secret is refused to a stolen token."""
    status, said = control_plane.answer(token, method, path, body, kind=kind)

    assert status in {403, 422}, said
    assert "slash80-clusterset" in said


def test_own_objects_cannot_become_others(control_plane: ControlPlane, token: str) -> None:
    """A derived Service that was created well cannot get a selector, an external address or another label later."""
    assert 201 == control_plane.answer(token, "POST", SERVICES, service("derived-changing"))[0]
    for spec in (_SELECTED, {"externalIPs": ["192.0.2.7"]}, {"type": "NodePort"}):
        patch = {"spec": spec}
        status, said = control_plane.answer(token, "PATCH", f"{SERVICES}/derived-changing", patch, kind=MERGE)
        assert 422 == status, said
    unlabelled = {"metadata": {"labels": dict.fromkeys(OURS)}}
    assert 422 == control_plane.answer(token, "PATCH", f"{SERVICES}/derived-changing", unlabelled, kind=MERGE)[0]
    assert 200 == control_plane.answer(token, "DELETE", f"{SERVICES}/derived-changing")[0]


def test_a_dry_run_tells_a_restricted_account_from_another(control_plane: ControlPlane, token: str) -> None:
    """The program recognises by it whether the policy is in force; an administrator is not held by it."""
    assert control_plane.run(lambda: restricted(control_plane.api(token), OWN))
    assert not control_plane.run(lambda: restricted(control_plane.admin, OWN))
    assert "dry-run" not in control_plane.answer(token, "GET", "/api/v1/services")[1]


def test_a_dry_run_says_which_families_services_have(control_plane: ControlPlane, token: str) -> None:
    """They come in the cluster's order, as a dual-stack Service would get them, and nothing is left behind."""
    assert (4, 6) == control_plane.run(lambda: families(control_plane.api(token), OWN))
    assert 404 == control_plane.answer(token, "GET", f"/api/v1/namespaces/{OWN}/services/derived-dry-run")[0]


def test_the_account_learns_the_ranges_of_services(control_plane: ControlPlane, token: str) -> None:
    """They are those of the API server's option, and asking for an impossible address leaves nothing behind."""
    found = control_plane.run(lambda: service_ranges(control_plane.api(token), OWN))
    control_plane.run(lambda: dry_run.service_ranges(control_plane.api(token), OWN))

    assert set(control_plane.services.split(",")) == set(map(str, found))
    assert 404 == control_plane.answer(token, "GET", f"/api/v1/namespaces/{OWN}/services/derived-dry-run")[0]


def test_the_account_puts_a_key_into_its_secret_once(control_plane: ControlPlane, token: str) -> None:
    """Two processes that begin at once use the same key: the API server refuses the second one's change."""
    control_plane.kubectl("patch", "secret", "slash80-clusterset", "-n", OWN, "--type=json", "-p", _EMPTIED)
    own = [OwnObjects(control_plane.api(token), OWN) for _ in range(2)]
    begin = threading.Barrier(2)

    def fill(number: int) -> object:
        begin.wait()
        return own[number].filled(lambda: _Key(number))

    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(control_plane.run, partial(fill, number)) for number in range(2))
        assert first.result() == second.result()


_EMPTIED = '[{"op": "add", "path": "/data", "value": {}}]'


@dataclass(frozen=True)
class _Key:
    number: int

    def data(self) -> dict[str, str]:
        return {"tls.key": base64.b64encode(str(self.number).encode()).decode()}


def test_applying_the_manifests_again_changes_no_data(control_plane: ControlPlane, token: str) -> None:
    """What the program wrote into its Secret and its state stays, and the file of the clusterset is not touched."""
    secret, state = f"{SECRETS}/slash80-clusterset", f"{MAPS}/slash80-clusterset-state"
    control_plane.kubectl("patch", "configmap", "slash80-clusterset", "-n", OWN, "-p", '{"data": {"a": "b"}}')
    assert 200 == control_plane.answer(token, "PATCH", secret, {"data": {"tls.crt": "Yg=="}}, kind=MERGE)[0]
    assert 200 == control_plane.answer(token, "PATCH", state, {"data": {"kept": "{}"}}, kind=MERGE)[0]

    control_plane.kubectl("apply", "-k", MANIFESTS / "clusterset")

    assert "Yg==" == control_plane.get("secret", "slash80-clusterset", "-n", OWN)["data"]["tls.crt"]
    assert "{}" == control_plane.get("configmap", "slash80-clusterset-state", "-n", OWN)["data"]["kept"]
    assert {"a": "b"} == control_plane.get("configmap", "slash80-clusterset", "-n", OWN)["data"]


def test_custom_resources_that_exist_are_left_alone(control_plane: ControlPlane) -> None:
    """`kubectl create` of the CRDs says that they are there and changes no one; deleting the program keeps them."""
    name = "serviceexports.multicluster.x-k8s.io"
    control_plane.kubectl("annotate", "crd", name, "of=another")
    before = control_plane.get("crd", name)["metadata"]["resourceVersion"]
    with pytest.raises(ProgramFailed, match="already exists"):
        control_plane.kubectl("create", "-k", MANIFESTS / "mcs-crds")
    deleted = control_plane.kubectl("delete", "-k", MANIFESTS / "clusterset", "--dry-run=server", "-o", "name")

    assert before == control_plane.get("crd", name)["metadata"]["resourceVersion"]
    assert "serviceaccount/slash80-clusterset" in deleted.splitlines()
    assert "customresourcedefinition" not in deleted


def test_a_missing_custom_resource_is_created_beside_others(control_plane: ControlPlane) -> None:
    """Where one CRD is there already, `kubectl create` still creates those that are missing."""
    control_plane.kubectl("delete", "crd", "clusterproperties.about.k8s.io")
    with pytest.raises(ProgramFailed, match="already exists"):
        control_plane.kubectl("create", "-k", MANIFESTS / "mcs-crds")

    assert control_plane.get("crd", "clusterproperties.about.k8s.io")
