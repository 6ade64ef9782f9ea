"""What a clusterset has put into a cluster, found by our labels and names, and how it is taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from slash80.cli.clusterset.contexts import CONFIG_MAPS, NAMESPACE, found, listed
from slash80.cluster.api import Api, Refused
from slash80.cluster.objects import clusterproperty, endpointslice, serviceexport
from slash80.cluster.objects.managed import NOTHING, applied
from slash80.cluster.objects.reading import Document, mapping, named, text
from slash80.cluster.objects.servicespec import MANAGED_BY
from slash80.clusterset.documents import MANAGER, PROPERTY_NAMES, SERVICES
from slash80.settings.clusterset import NAME

_MCS = tuple(f"/apis/{serviceexport.GROUP}/{version}" for version in serviceexport.VERSIONS)
_ABOUT = tuple(f"/apis/{clusterproperty.GROUP}/{version}" for version in clusterproperty.VERSIONS)
_OURS = f"{MANAGED_BY}={MANAGER}"
_PROGRAM = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/slash80-clusterset"
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_GONE = 404
CONDITIONS = "conditions of ServiceExport"


@dataclass(frozen=True, slots=True)
class Trace:
    """One of it: `name` is for people, `path` and `uid` for the API."""

    kind: str
    name: str
    path: str
    uid: str


def program(api: Api) -> Iterator[Trace]:
    """Yield the Deployment, which would write again what is deleted while its pod runs."""
    yield from _single(api, "Deployment", _PROGRAM)


def pods(api: Api) -> list[str]:
    """Return the names of the program's pods, also of those that are ending."""
    return [named(one)[1] for one in listed(api, _PODS, labelSelector="app.kubernetes.io/name=slash80-clusterset")]


def traces(api: Api) -> Iterator[Trace]:
    """Yield all else, in the order in which it is to go: first the file, and with it the agents' trust."""
    yield from _single(api, "ConfigMap", f"{CONFIG_MAPS}/{NAME}")
    for document, base in _of_group(api, _MCS, "serviceimports", labelSelector=_OURS):
        yield _trace("ServiceImport", base, document)
    for document in listed(api, endpointslice.PATH, labelSelector=f"{endpointslice.MANAGED_BY}={MANAGER}"):
        yield _trace("EndpointSlice", endpointslice.PATH, document)
    for document in listed(api, SERVICES, labelSelector=_OURS):
        yield _trace("Service", SERVICES, document)
    for document, base in _of_group(api, _ABOUT, "clusterproperties", labelSelector=_OURS):
        if (name := text(mapping(document, "metadata"), "name")) in PROPERTY_NAMES:
            yield Trace("ClusterProperty", name, f"{base}/{name}", _uid(document))
    for document, base in _of_group(api, _MCS, "serviceexports"):
        if applied(document, MANAGER, "status") != NOTHING:
            yield _trace(CONDITIONS, base, document)


def remove(api: Api, trace: Trace) -> None:
    """Delete it. Of a ServiceExport, which is a person's, our conditions alone go. Raise Refused or Unreachable."""
    if trace.kind != CONDITIONS:
        api.delete(trace.path, uid=trace.uid)
        return
    namespace, _, name = trace.name.partition("/")
    group = trace.path.split("/")
    body: Document = {
        "apiVersion": f"{group[2]}/{group[3]}",
        "kind": "ServiceExport",
        "metadata": {"name": name, "namespace": namespace, "uid": trace.uid},
    }
    try:
        api.apply(f"{trace.path}/status", body, manager=MANAGER, force=True)
    except Refused as refused:
        if refused.status != _GONE:
            raise


def _single(api: Api, kind: str, path: str) -> Iterator[Trace]:
    if document := found(api, path):
        yield Trace(kind, path.rpartition("/")[2], path, _uid(document))


def _of_group(api: Api, bases: tuple[str, ...], kind: str, **query: str) -> Iterator[tuple[Document, str]]:
    """Yield the objects of a kind, by the best version of its API that has any."""
    for base in bases:
        path = f"{base}/{kind}"
        if documents := listed(api, path, **query):
            yield from ((document, path) for document in documents)
            return


def _trace(kind: str, path: str, document: Mapping[str, object]) -> Trace:
    namespace, name = named(dict(document))
    group, _, plural = path.rpartition("/")
    return Trace(kind, f"{namespace}/{name}", f"{group}/namespaces/{namespace}/{plural}/{name}", _uid(document))


def _uid(document: Mapping[str, object]) -> str:
    return text(mapping(document, "metadata"), "uid")
