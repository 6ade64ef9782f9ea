"""Pods: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from slash80.addressing.family import Address
from slash80.addressing.ports import BY_NAME, Protocol
from slash80.cluster.objects.labels import read_labels
from slash80.cluster.objects.ports import number_of
from slash80.cluster.objects.reading import Document, entries, mapping, mappings, named, text
from slash80.cni import addresses
from slash80.policy.model import Pod

# A mirror's annotations: its own UID is the API's, and the runtime has that of the file it stands for.
MIRROR, HASH = "kubernetes.io/config.mirror", "kubernetes.io/config.hash"
_NAME = 253  # characters
_FINISHED = {"Succeeded", "Failed"}
_MOST = 16  # addresses of a pod: the API has one for each family
_CONTAINERS, _PORTS = 1000, 10_000
_SHARED = 4096  # different sets of ports: pods of one workload have one of them
_NO_PORTS: Mapping[tuple[str, Protocol], int] = MappingProxyType({})


def read_pod(document: Document) -> Pod:
    """Return a Pod; raise Unreadable where its name or its labels are not known.

    Most of its status is a kubelet's word: an address or a port that cannot be understood costs itself only. One that
    is being deleted is like any other, as its containers still run.
    """
    metadata, spec, status = (mapping(document, key) for key in ("metadata", "spec", "status"))
    namespace, name = named(document)
    return Pod(
        namespace=sys.intern(namespace),
        name=name,
        uid=_uid(metadata),
        labels=read_labels(metadata),
        addresses=tuple(_addresses(status)),
        node=sys.intern(text(spec, "nodeName", most=_NAME)),
        host_network=spec.get("hostNetwork") is True,
        finished=status.get("phase") in _FINISHED,
        created=text(metadata, "creationTimestamp", most=_NAME),
        ports=_shared(found) if (found := tuple(dict(_ports(spec)).items())) else _NO_PORTS,
    )


def _uid(metadata: Mapping[str, Any]) -> str:
    """Return the UID that a runtime knows; the annotation counts with a mirror only, which a kubelet makes."""
    annotations = mapping(metadata, "annotations")
    if annotations.get(MIRROR) and (of_file := text(annotations, HASH, most=_NAME)):
        return of_file
    return text(metadata, "uid", most=_NAME)


def _addresses(status: Mapping[str, Any]) -> Iterator[Address]:
    found = [one.get("ip") for one in entries(status, "podIPs")[:_MOST] if isinstance(one, dict)]
    for value in dict.fromkeys(one for one in found or [status.get("podIP")] if isinstance(one, str) and one):
        with suppress(ValueError):
            yield addresses.address(value)


def _ports(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str, Protocol], int]]:
    """Yield the named ports of what keeps running, in the order in which a later one counts more.

    Of two containers' ports with one name and protocol that of the first one counts, of containers before init
    containers, as with Services (FindPort in pkg/api/v1/pod/util.go of Kubernetes).
    """
    sidecars = [
        one for one in mappings(spec, "initContainers", most=_CONTAINERS) if one.get("restartPolicy") == "Always"
    ]
    running = [*mappings(spec, "containers", most=_CONTAINERS), *sidecars]
    for container in reversed(running):
        for port in reversed(mappings(container, "ports", most=_PORTS)):
            name, number = port.get("name"), number_of(port, "containerPort")
            protocol = BY_NAME.get(str(port.get("protocol") or "TCP").lower())
            if isinstance(name, str) and name and number and protocol:
                yield (sys.intern(name), protocol), number


@lru_cache(_SHARED)
def _shared(ports: tuple[tuple[tuple[str, Protocol], int], ...]) -> Mapping[tuple[str, Protocol], int]:
    return dict(ports)
