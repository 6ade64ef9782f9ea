"""Nodes: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from slash80.addressing.family import Address, Prefix
from slash80.cluster.objects.reading import Document, Resource, mapping, mappings, networks, text, texts

OVERRIDE = "slash80.io/prefix-override"
PREFIXES = "slash80.io/prefixes"
TAINT = "slash80.io/not-ready"
UNAVAILABLE = "NetworkUnavailable"


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """What matters of a Node. `override` and `published` are its annotations as they stand there, not yet judged."""

    name: str
    created: str
    pod_cidrs: tuple[Prefix, ...] = ()
    addresses: tuple[Address, ...] = ()
    override: str = ""
    published: str = ""
    taints: tuple[str, ...] = ()
    conditions: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)

    @property
    def seniority(self) -> tuple[str, str]:
        """What nodes are ordered by where two of them claim the same: the older one comes first."""
        return self.created, self.name


def read_node(document: Document) -> NodeSeen:
    """Read a Node; `conditions` are status, reason and message by type, `addresses` its own in the cluster's order."""
    metadata, spec, status = (mapping(document, key) for key in ("metadata", "spec", "status"))
    annotations = mapping(metadata, "annotations")
    given = texts(spec, "podCIDRs") or filter(None, [text(spec, "podCIDR")])  # the latter is of before dual stack
    return NodeSeen(
        name=text(metadata, "name"),
        created=text(metadata, "creationTimestamp"),
        pod_cidrs=tuple(networks(given)),
        addresses=tuple(_addresses(mappings(status, "addresses"))),
        override=text(annotations, OVERRIDE),
        published=text(annotations, PREFIXES),
        taints=tuple(text(taint, "key") for taint in mappings(spec, "taints")),
        conditions={
            text(one, "type"): (text(one, "status"), text(one, "reason"), text(one, "message"))
            for one in mappings(status, "conditions")
        },
    )


NODES = Resource("/api/v1/nodes", read_node)


def listed(annotation: str) -> list[Prefix]:
    """Read an annotation that holds a JSON list of prefixes; raise ValueError when it does not."""
    if not annotation:
        return []
    try:
        found = json.loads(annotation)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError('it is not a JSON list of prefixes, such as ["2001:db8:0:1:1::/80"]')
    return [ip_network(one) for one in found]


def _addresses(entries: Iterable[Mapping[str, Any]]) -> Iterator[Address]:
    """Yield the addresses; what is not one is left out, since the API does not check what a kubelet writes there."""
    for kind in ("InternalIP", "ExternalIP"):
        for entry in entries:
            if text(entry, "type") == kind:
                with suppress(ValueError):
                    yield ip_address(text(entry, "address"))
