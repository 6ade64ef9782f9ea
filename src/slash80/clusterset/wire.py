"""Exports as they go from one cluster to another: JSON objects without what is as usual.

What comes in was written by another cluster. Every field is read by its type, its syntax and within bounds; an object
that does not fit is refused with the field's name. Names of nodes and pods are neither written nor read: kube-proxy
takes an endpoint for local by its node's name alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from sys import intern
from typing import Any

from slash80.addressing.family import Address
from slash80.cluster.objects.endpointslice import Endpoint
from slash80.cluster.objects.ports import Port
from slash80.cluster.objects.reading import Unreadable, entries, mapping, mappings, text, texts, within
from slash80.clusterset.records import Export, Name, Pairs, Properties, Slice
from slash80.errors import shown

PORTS, SLICES, PAIRS, HINTS = 100, 1000, 64, 8
PAIRS_CHARACTERS = 8 << 10  # of a Service's exported labels and annotations together
_LATEST = 253402300799  # the last second of the year 9999
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_VALUE = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")  # of a label, and the name in its key
_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})
_DISTRIBUTIONS = frozenset({"", "PreferClose", "PreferSameZone", "PreferSameNode"})
_USUAL = Properties()


def encode(export: Export) -> dict[str, Any]:
    """Return an export as a JSON object."""
    found = {
        "namespace": export.name.namespace,
        "name": export.name.name,
        "created": export.created,
        "families": list(export.families),
        "ports": [_encoded_port(port) for port in export.ports],
        **_encoded_properties(export.properties),
        "slices": [_encoded_slice(one) for one in export.slices],
    }
    return {key: value for key, value in found.items() if value != []}


def decode(document: object) -> Export:
    """Read what `encode` wrote; raise Unreadable naming the field."""
    found = _object(document)
    ports = tuple(_decoded_ports(found))
    if len(ports) > 1 and not all(port.name for port in ports):
        raise Unreadable("ports has one without a name, but only a single port may have none")
    properties = _decoded_properties(found)
    if not ports and not properties.headless:
        raise Unreadable("ports is empty, but only a headless Service can do without")
    return Export(
        name_of(found),
        _number(found, "created", least=0, most=_LATEST),
        _families(found),
        ports,
        properties,
        tuple(_decoded_slices(found)),
    )


def name_of(document: object) -> Name:
    """Read of which Service a record is, and no more; raise Unreadable."""
    found = _object(document)
    return Name(_label(found, "namespace"), _label(found, "name"))


def _object(document: object) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise Unreadable(f"the record is {shown(document)}, but must be an object")
    return document


def _encoded_properties(properties: Properties) -> dict[str, Any]:
    found = {
        "headless": properties.headless,
        "sessionAffinity": properties.session_affinity,
        "affinitySeconds": properties.affinity_seconds,
        "internalTrafficPolicy": properties.internal_traffic_policy,
        "trafficDistribution": properties.traffic_distribution,
        "labels": dict(properties.labels),
        "annotations": dict(properties.annotations),
    }
    return {key: value for key, value in found.items() if value != _USUAL_VALUES[key]}


_USUAL_VALUES: dict[str, Any] = {
    "headless": _USUAL.headless,
    "sessionAffinity": _USUAL.session_affinity,
    "affinitySeconds": _USUAL.affinity_seconds,
    "internalTrafficPolicy": _USUAL.internal_traffic_policy,
    "trafficDistribution": _USUAL.traffic_distribution,
    "labels": {},
    "annotations": {},
}


def _decoded_properties(found: Mapping[str, Any]) -> Properties:
    affinity = _word(found, "sessionAffinity", frozenset({"None", "ClientIP"}), usual="None")
    seconds = None
    if affinity == "ClientIP" and found.get("affinitySeconds") is not None:
        seconds = _number(found, "affinitySeconds", least=1, most=86400)
    labels, annotations = _pairs(found, "labels"), _pairs(found, "annotations")
    if sum(len(key) + len(value) for key, value in labels + annotations) > PAIRS_CHARACTERS:
        raise Unreadable(f"labels and annotations have more than {PAIRS_CHARACTERS} characters together")
    for key, value in labels:
        if value and not _VALUE.fullmatch(value):
            raise Unreadable(f"labels has {shown(key)} with {shown(value)}, which is not a label's value")
    return Properties(
        _truth(found, "headless", usual=False),
        affinity,
        seconds,
        _word(found, "internalTrafficPolicy", frozenset({"Cluster", "Local"}), usual="Cluster"),
        _word(found, "trafficDistribution", _DISTRIBUTIONS),
        labels,
        annotations,
    )


def _pairs(found: Mapping[str, Any], key: str) -> Pairs:
    pairs = mapping(found, key)
    if len(pairs) > PAIRS:
        raise Unreadable(f"{key} has {len(pairs)} entries, of which at most {PAIRS} are read")
    for one, value in pairs.items():
        if not isinstance(value, str) or not _writable(value):
            raise Unreadable(f"{key} has {shown(one)} with {shown(value)}, but must have strings")
        if not _qualified(one):
            raise Unreadable(f"{key} has {shown(one)}, which is not the key of a label or an annotation")
    return tuple(sorted(pairs.items()))


def _writable(value: str) -> bool:
    """Report whether the API takes a text: a lone surrogate cannot be written as UTF-8."""
    return len(value) <= PAIRS_CHARACTERS and not any("\ud800" <= one <= "\udfff" for one in value)


def _qualified(key: str) -> bool:
    """Report whether a key is a name, or one after a DNS name and a slash."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix)):
        return False
    return bool(_VALUE.fullmatch(name))


def _encoded_port(port: Port) -> list[Any]:
    return [port.name, port.protocol, port.port, *filter(None, [port.app_protocol])]


def _decoded_ports(found: Mapping[str, Any]) -> Iterator[Port]:
    names, numbers = set(), set()
    for name, protocol, port, app_protocol in _ports(found):
        if name in names or (protocol, port) in numbers:
            raise Unreadable(f"ports has {shown(name)} or {protocol}/{port} twice")
        names.add(name)
        numbers.add((protocol, port))
        yield Port(name, protocol, port, app_protocol)


def _ports(found: Mapping[str, Any]) -> Iterator[tuple[str, str, int, str]]:
    """Yield ports: name, protocol, number and perhaps an application protocol."""
    listed = entries(found, "ports")
    if len(listed) > PORTS:
        raise Unreadable(f"ports has {len(listed)} entries, of which at most {PORTS} are read")
    for number, one in enumerate(listed):
        with within(f"ports[{number}]"):
            if not isinstance(one, list) or not 3 <= len(one) <= 4:
                raise Unreadable(f"entry is {shown(one)}, but must be a list of name, protocol and number")
            fields = dict(zip(("name", "protocol", "port", "appProtocol"), one, strict=False))
            app_protocol = text(fields, "appProtocol", most=317)
            if app_protocol and not _qualified(app_protocol):
                raise Unreadable(f"appProtocol is {shown(app_protocol)}, but must be like the key of a label")
            name = _label(fields, "name") if fields["name"] != "" else ""
            protocol = _word(fields, "protocol", _PROTOCOLS)
            yield name, protocol, _number(fields, "port", least=1, most=65535), intern(app_protocol)


def _encoded_slice(one: Slice) -> dict[str, Any]:
    return {
        "family": one.family,
        "ports": [_encoded_port(port) for port in one.ports],
        "endpoints": [_encoded_endpoint(endpoint) for endpoint in one.endpoints],
    }


def _encoded_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    found = {
        "address": str(endpoint.address),
        "ready": endpoint.ready,
        "serving": endpoint.serving,
        "terminating": endpoint.terminating,
        "hostname": endpoint.hostname,
        "zone": endpoint.zone,
        "hints": list(endpoint.zone_hints),
    }
    usual = {"ready": True, "serving": True, "terminating": False, "hostname": "", "zone": "", "hints": []}
    return {key: value for key, value in found.items() if key == "address" or value != usual[key]}


def _decoded_slices(found: Mapping[str, Any]) -> Iterator[Slice]:
    for number, one in enumerate(mappings(found, "slices", most=SLICES)):
        with within(f"slices[{number}]"):
            ports = tuple(Port(*port) for port in _ports(one))
            if len({port.name for port in ports}) != len(ports):
                raise Unreadable("ports has a name twice")
            yield Slice(_family(one.get("family"), "family"), ports, tuple(_endpoints(one)))


def _endpoints(found: Mapping[str, Any]) -> Iterator[Endpoint]:
    for number, one in enumerate(mappings(found, "endpoints")):
        with within(f"endpoints[{number}]"):
            yield _endpoint(one)


def _endpoint(one: Mapping[str, Any]) -> Endpoint:
    hints = texts(one, "hints", most=HINTS)
    if not all(map(_VALUE.fullmatch, hints)):
        raise Unreadable(f"hints is {shown(hints)}, but must be names of zones")
    zone = text(one, "zone", most=63)
    if zone and not _VALUE.fullmatch(zone):
        raise Unreadable(f"zone is {shown(zone)}, but must be the name of a zone")
    return Endpoint(
        _address(one),
        _truth(one, "ready", usual=True),
        _truth(one, "serving", usual=True),
        _truth(one, "terminating", usual=False),
        _label(one, "hostname") if one.get("hostname") else "",
        intern(zone),
        tuple(map(intern, hints)),
    )


def _address(one: Mapping[str, Any]) -> Address:
    value = text(one, "address", most=64)
    try:
        found = ip_address(value)
    except ValueError as error:
        raise Unreadable(f"address is {shown(value)}, but must be an address") from error
    if "%" in value:
        raise Unreadable(f"address is {shown(value)}, whose zone means something on one node only")
    return found


def _label(found: Mapping[str, Any], key: str) -> str:
    value = text(found, key, most=63)
    if not _LABEL.fullmatch(value):
        raise Unreadable(f"{key} is {shown(value)}, but must be a DNS label")
    return intern(value)


def _word(found: Mapping[str, Any], key: str, words: frozenset[str], *, usual: str = "") -> str:
    value = found.get(key, usual)
    if not isinstance(value, str) or value not in words:
        raise Unreadable(f"{key} is {shown(value)}, but must be one of {', '.join(filter(None, sorted(words)))}")
    return intern(value)


def _truth(found: Mapping[str, Any], key: str, *, usual: bool) -> bool:
    value = found.get(key, usual)
    if not isinstance(value, bool):
        raise Unreadable(f"{key} is {shown(value)}, but must be true or false")
    return value


def _number(found: Mapping[str, Any], key: str, *, least: int, most: int) -> int:
    value = found.get(key)
    if type(value) is not int or not least <= value <= most:
        raise Unreadable(f"{key} is {shown(value)}, but must be a number from {least} to {most}")
    return value


def _families(found: Mapping[str, Any]) -> tuple[int, ...]:
    listed = [_family(one, "families") for one in entries(found, "families")[:3]]
    if not listed or len(set(listed)) != len(listed):
        raise Unreadable(f"families is {shown(listed)}, but must be 4, 6 or both")
    return tuple(listed)


def _family(value: object, key: str) -> int:
    if type(value) is not int or value not in {4, 6}:
        raise Unreadable(f"{key} has {shown(value)}, but must have 4 or 6")
    return value
