"""The API's objects that one imported Service comes to: its ServiceImport, the derived Service, the EndpointSlices.

Pure. kube-proxy serves the derived Service like any other, since it has no selector and the slices name it; CoreDNS
answers from the ServiceImport and the slices (KEP-1645).
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from itertools import count

from slash80.cluster.objects.conditions import FALSE, TRUE, Condition
from slash80.cluster.objects.endpointslice import MANAGED_BY as SLICE_MANAGED_BY
from slash80.cluster.objects.endpointslice import PATH as SLICES
from slash80.cluster.objects.endpointslice import SOURCE, Endpoint, WrittenSlice
from slash80.cluster.objects.ports import Port
from slash80.cluster.objects.reading import Document, mapping, mappings
from slash80.cluster.objects.service import SERVICE_NAME as KUBE_SERVICE_NAME
from slash80.cluster.objects.serviceexport import GROUP
from slash80.cluster.objects.serviceimport import ServiceImport
from slash80.cluster.objects.servicespec import FAMILIES, MANAGED_BY, SERVICE_NAME, ServiceSpec
from slash80.clusterset.exporter import dated
from slash80.clusterset.placement import placed
from slash80.clusterset.records import Import, Name
from slash80.clusterset.refuse import AFFINITY

MANAGER = "clusterset.slash80.io"
DERIVED = "multicluster.kubernetes.io/derived-service"
_WORDS = {number: word for word, number in FAMILIES.items()}
IMPORTS = f"/apis/{GROUP}/{{}}/serviceimports"
SERVICES = "/api/v1/services"
PROPERTY_NAMES = ("cluster.clusterset.k8s.io", "clusterset.k8s.io")
_OF_SLICES = {SERVICE_NAME, SOURCE, SLICE_MANAGED_BY, KUBE_SERVICE_NAME}  # labels
_HEADLESS, _CLUSTERSET_IP = "Headless", "ClusterSetIP"


@dataclass(frozen=True, slots=True)
class Members:
    """How the members stand, by id: what of what they exported may be believed, and what must not be deleted yet.

    `silent` has not answered for some time; `gone` is in the file, but has not for so long that its endpoints count no
    more; `unheard` is in the file, and has not answered in full since this process began.
    """

    here: str = ""
    silent: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    unheard: frozenset[str] = frozenset()

    @property
    def absent(self) -> frozenset[str]:
        """Of whom it is not known what they export now."""
        return self.gone | self.unheard


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of one imported Service."""

    serviceimport: ServiceImport | None = None
    service: ServiceSpec | None = None
    slices: tuple[WrittenSlice, ...] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """An object as it is to be: where, what is applied to it, and to its status; None where that is not ours."""

    path: str
    body: Document | None
    status: Document | None = None


def derived(name: Name) -> str:
    """Return the name of the Service that stands for an imported one: that of the API's reference implementation."""
    hashed = hashlib.sha256(str(name).encode()).digest()
    return f"derived-{base64.b32hexencode(hashed).decode().lower()[:10]}"


def path_of(list_path: str, namespace: str, name: str) -> str:
    """Return the path of an object of a list of all namespaces."""
    group, _, kind = list_path.rpartition("/")
    return f"{group}/namespaces/{namespace}/{kind}/{name}"


def documents(wanted: Import, found: Found, members: Members, *, now: str, version: str = "v1beta1") -> list[Desired]:
    """Return the objects in the order in which they are written; what needs the ServiceImport comes when it is there.

    The ServiceImport owns the others, so that the garbage collector deletes them with it, also without us.
    """
    held = _held(wanted, found.serviceimport, members.absent)
    named = _with_port_names(held)
    wanting = replace(held, ports=tuple(named[port] for port in held.ports))
    result = [_service_import(wanting, found, now=now, version=version)]
    if found.serviceimport is None or found.serviceimport.deleting:
        return result
    owner = {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "ServiceImport",
        "name": wanted.name.name,
        "uid": found.serviceimport.uid,
    }
    if not held.properties.headless and held.families and not _must_go(held, found.service):
        result.append(_derived_service(wanting, found.service, owner))
    if held.properties.headless or held.families:
        result.extend(_slices(wanting, owner, members, names=_slice_port_names(wanted, named)))
    return result


def properties(member: str, clusterset: str, version: str = "v1beta1") -> list[Desired]:
    """Return the ClusterProperties of a member, which a cluster that is not one must not have (KEP-2149)."""
    return [
        Desired(
            f"/apis/about.k8s.io/{version}/clusterproperties/{name}",
            {
                "apiVersion": f"about.k8s.io/{version}",
                "kind": "ClusterProperty",
                "metadata": {"name": name, "labels": {MANAGED_BY: MANAGER}},
                "spec": {"value": value},
            },
        )
        for name, value in zip(PROPERTY_NAMES, (member, clusterset), strict=True)
    ]


def _held(wanted: Import, there: ServiceImport | None, absent: Container[str]) -> Import:
    """Return what is wanted, without taking from an import what an exporter has brought that cannot be asked now.

    Otherwise a restart of this process would close ports, or give up the address, until all have answered.
    """
    former = [cluster for cluster in there.clusters if cluster in absent] if there else []
    if there is None or not former or there.managed_by != MANAGER:
        return wanted
    names = {port.name for port in there.ports}
    numbers = {(port.protocol, port.port) for port in there.ports}
    more = [one for one in wanted.ports if one.name not in names and (one.protocol, one.port) not in numbers]
    families = (*there.families, *(family for family in wanted.families if family not in there.families))
    return replace(
        wanted,
        families=families,
        ports=(*there.ports, *more),
        properties=replace(wanted.properties, headless=there.type == _HEADLESS),
        clusters=tuple(sorted({*wanted.clusters, *former})),
    )


def _with_port_names(wanted: Import) -> dict[Port, Port]:
    """Return the ports by themselves, each with a name if they are several: the API takes one unnamed port only.

    Two exporters with one unnamed port each, or one that has no name beside others that have, come to that.
    """
    if len(wanted.ports) < 2:
        return {port: port for port in wanted.ports}
    taken = {port.name for port in wanted.ports}
    result = {}
    for port in wanted.ports:
        free = (name for name in _names_of_port(port) if name not in taken)
        result[port] = replace(port, name=port.name or next(free))
    return result


def _names_of_port(port: Port) -> Iterator[str]:
    """Yield names for one without a name; short ones, however many an exporter has taken on purpose."""
    usual = f"{port.protocol.lower()}-{port.port}"
    yield usual
    yield from (f"{usual}-{number}" for number in count(2))


def _must_go(wanted: Import, service: ServiceSpec | None) -> bool:
    """Report whether a derived Service has to be deleted before there can be another one.

    The API server refuses a change of its first family; it comes to that when no exporter has that family any more.
    """
    return service is not None and bool(service.families) and service.families[0] not in wanted.families


def _slice_port_names(wanted: Import, named: Mapping[Port, Port]) -> Mapping[str, str]:
    """Return what the ports of the exporters' slices are called here; those that are left out have no part in it.

    What is kept for an exporter that cannot be asked has its name of before already, and may have the name of another
    one's port: the number says which is which.
    """
    by_number = {(port.protocol, port.port): other.name for port, other in named.items()}
    numbers = {port.name: (port.protocol, port.port) for port in wanted.ports}
    return {name: by_number[number] for name, number in numbers.items() if number in by_number}


def _metadata(name: Name, named: str, labels: Mapping[str, str]) -> Document:
    return {"name": named, "namespace": name.namespace, "labels": {**labels}}


def _service_import(wanted: Import, found: Found, *, now: str, version: str) -> Desired:
    headless = wanted.properties.headless
    families, ips = _addresses(wanted, found.service)
    metadata = _metadata(wanted.name, wanted.name.name, {**dict(wanted.properties.labels), MANAGED_BY: MANAGER})
    annotations = dict(wanted.properties.annotations)
    if not headless:
        annotations[DERIVED] = derived(wanted.name)
    spec: Document = {
        "type": _HEADLESS if headless else _CLUSTERSET_IP,
        "ports": [_port(port) for port in wanted.ports],
        "ipFamilies": [_WORDS[family] for family in families],
        **_policies(wanted),
    }
    if ips:
        spec["ips"] = ips
    identity = {"apiVersion": f"{GROUP}/{version}", "kind": "ServiceImport"}
    body = {**identity, "metadata": metadata | {"annotations": annotations}, "spec": spec}
    former = {one.type: one for one in found.serviceimport.conditions} if found.serviceimport else {}
    status = {
        "clusters": [{"cluster": cluster} for cluster in wanted.clusters],
        "endpointSliceObjects": "Present",
        "conditions": [dated(_ready(wanted, found, ips), former.get("Ready"), now).document()],
    }
    named = {"name": wanted.name.name, "namespace": wanted.name.namespace}
    path = path_of(IMPORTS.format(version), *wanted.name)
    return Desired(path, body, {**identity, "metadata": named, "status": status})


def _addresses(wanted: Import, service: ServiceSpec | None) -> tuple[tuple[int, ...], list[str]]:
    """Return the families and the clusterset IPs in the same order, which is that of the derived Service."""
    if wanted.properties.headless:
        return wanted.families, []
    families = _ordered(wanted.families, service)
    if service is None or service.managed_by != MANAGER:
        return families, []
    had = dict(zip(service.families, service.cluster_ips, strict=False))
    return families, [had[family] for family in families if family in had]


def _ordered(families: tuple[int, ...], service: ServiceSpec | None) -> tuple[int, ...]:
    """Return families with the one that a Service has as its first one first, since that cannot be changed."""
    if service is None or not service.families or service.families[0] not in families:
        return families
    first = service.families[0]
    return (first, *(family for family in families if family != first))


def _ready(wanted: Import, found: Found, ips: list[str]) -> Condition:
    generation = found.serviceimport.generation if found.serviceimport else 0
    if not wanted.families:
        why = (
            f"No cluster exports {wanted.name} with addresses of a family that this cluster's Services have; "
            "for the exporting clusters that is `ipFamilyPolicy: PreferDualStack` in the Service's spec."
        )
        return Condition("Ready", FALSE, "IPFamilyNotSupported", why, generation)
    if wanted.properties.headless or ips:
        return Condition("Ready", TRUE, "Ready", "The Service can be used.", generation)
    why = f"Service {wanted.name.namespace}/{derived(wanted.name)}, which stands for it, has no address yet."
    if found.service is not None and found.service.managed_by != MANAGER:
        why = (
            f"Service {wanted.name.namespace}/{found.service.name} was made by another program, and has the name "
            "of the one that would stand for it; delete it."
        )
    return Condition("Ready", FALSE, "Pending", why, generation)


def _policies(wanted: Import) -> Document:
    """Return what a Service and a ServiceImport have alike."""
    properties = wanted.properties
    result: Document = {"internalTrafficPolicy": properties.internal_traffic_policy}
    if properties.traffic_distribution:
        result["trafficDistribution"] = properties.traffic_distribution
    if not properties.headless or properties.session_affinity != "None":
        result["sessionAffinity"] = properties.session_affinity
    if properties.session_affinity == "ClientIP" and properties.affinity_seconds is not None:
        result["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": properties.affinity_seconds}}
    return result


def _port(port: Port) -> Document:
    named = {"name": port.name} if port.name else {}
    application = {"appProtocol": port.app_protocol} if port.app_protocol else {}
    return {**named, "protocol": port.protocol, "port": port.port, **application}


def _derived_service(wanted: Import, there: ServiceSpec | None, owner: Document) -> Desired:
    families = _ordered(wanted.families, there)
    named = derived(wanted.name)
    labels = {MANAGED_BY: MANAGER, SERVICE_NAME: wanted.name.name}
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(wanted.name, named, labels) | {"ownerReferences": [owner]},
        "spec": {
            "type": "ClusterIP",
            "ports": [_port(port) for port in wanted.ports],
            "ipFamilies": [_WORDS[family] for family in families],
            "ipFamilyPolicy": "RequireDualStack" if len(families) > 1 else "SingleStack",
            **_policies(wanted),
        },
    }
    return Desired(path_of(SERVICES, wanted.name.namespace, named), body)


_Key = tuple[str, int, tuple[Port, ...]]


def _slices(wanted: Import, owner: Document, members: Members, *, names: Mapping[str, str]) -> Iterator[Desired]:
    """Yield the slices, one or more for each cluster, family and set of ports."""
    grouped: dict[_Key, list[Endpoint]] = defaultdict(list)
    for one in wanted.slices:
        ports = tuple(replace(port, name=names[port.name]) for port in one.slice.ports if port.name in names)
        if (ports or not one.slice.ports) and (wanted.properties.headless or one.slice.family in wanted.families):
            grouped[one.cluster, one.slice.family, ports].extend(one.slice.endpoints)
    for (cluster, family, ports), endpoints in sorted(grouped.items(), key=str):
        last = not wanted.properties.headless and (
            cluster in members.silent or _is_last_resort(wanted, cluster, members)
        )
        for part in placed(endpoints):
            shown = [_endpoint(one, local=cluster == members.here, last=last) for one in part.endpoints]
            yield _slice(wanted, owner, (cluster, family, ports), bits=part.bits, endpoints=shown)


def _is_last_resort(wanted: Import, cluster: str, members: Members) -> bool:
    """Report whether a cluster's endpoints are for when this one has no ready ones, as an annotation asks for."""
    asked = dict(wanted.properties.annotations).get(AFFINITY) == "local"
    return asked and members.here in wanted.clusters and cluster != members.here


def _slice(wanted: Import, owner: Document, key: _Key, *, bits: str, endpoints: list[Document]) -> Desired:
    cluster, family, ports = key
    # of the names too: `web-eu` of cluster `b` and `web` of `eu-b` would be one. No name of our classes is in it.
    hashed = hashlib.sha256(repr((wanted.name.name, cluster, [*map(astuple, ports)], bits)).encode()).digest()
    suffix = base64.b32hexencode(hashed).decode().lower()[:10]
    named = f"{wanted.name.name}-{cluster}-v{family}-{suffix}"
    labels = {SERVICE_NAME: wanted.name.name, SOURCE: cluster, SLICE_MANAGED_BY: MANAGER}
    if not wanted.properties.headless:
        labels[KUBE_SERVICE_NAME] = derived(wanted.name)
    body = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": _metadata(wanted.name, named, labels) | {"ownerReferences": [owner]},
        "addressType": _WORDS[family],
        "ports": [{"name": port.name} | _port(port) for port in ports],
        "endpoints": endpoints,
    }
    return Desired(path_of(SLICES, wanted.name.namespace, named), body)


def demoted(found: Document, uid: str) -> Document:
    """Return what is applied to a slice of ours, as the API has it, so that it becomes a last resort."""
    metadata = mapping(found, "metadata")
    kept = {key: metadata[key] for key in ("name", "namespace", "ownerReferences") if key in metadata} | {"uid": uid}
    labels = {key: one for key, one in mapping(metadata, "labels").items() if key in _OF_SLICES}
    endpoints = []
    for one in mappings(found, "endpoints"):
        said = mapping(one, "conditions")
        ready = said.get("ready") is not False
        serving = said.get("serving", ready) is not False
        endpoints.append({**one, "conditions": _last_resort(ready, serving, said.get("terminating") is True)})
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**kept, "labels": labels},
        "addressType": found.get("addressType"),
        "ports": mappings(found, "ports"),
        "endpoints": endpoints,
    }


def _last_resort(*conditions: bool) -> Document:
    """Return the conditions of an endpoint that is one; its own are whether it is ready, serving and terminating.

    It is not ready, but still serving while it terminates: kube-proxy sends to such endpoints when no endpoint of a
    Service is ready, and only then (KEP-1669).
    """
    ready, serving, terminating = conditions
    return {"ready": False, "serving": ready or (serving and terminating), "terminating": True}


def _endpoint(endpoint: Endpoint, *, local: bool, last: bool) -> Document:
    """Return an endpoint as the API has it."""
    if last:
        conditions = _last_resort(endpoint.ready, endpoint.serving, endpoint.terminating)
    else:
        conditions = {"ready": endpoint.ready, "serving": endpoint.serving, "terminating": endpoint.terminating}
    document: Document = {"addresses": [str(endpoint.address)], "conditions": conditions}
    if endpoint.hostname:
        document["hostname"] = endpoint.hostname
    if local and endpoint.node:
        document["nodeName"] = endpoint.node
    if endpoint.zone:
        document["zone"] = endpoint.zone
    if endpoint.zone_hints:
        document["hints"] = {"forZones": [{"name": zone} for zone in endpoint.zone_hints]}
    return document
