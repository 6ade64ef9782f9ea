"""Nodes and Services' ranges as the few fields that matter here, read out of what the API sends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from slash80.addressing.family import Address, Prefix
from slash80.cluster.api import Document

NODES = "/api/v1/nodes"
OVERRIDE = "slash80.io/prefix-override"
PREFIXES = "slash80.io/prefixes"
TAINT = "slash80.io/not-ready"
UNAVAILABLE = "NetworkUnavailable"


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A Node. `override` and `published` are its annotations as they stand there, for what reads them to judge."""

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


def node(document: Document) -> NodeSeen:
    """Read a Node; `conditions` are status, reason and message by type, `addresses` its own in the cluster's order."""
    metadata, spec, status = document["metadata"], document.get("spec", {}), document.get("status", {})
    annotations = metadata.get("annotations") or {}
    given = spec.get("podCIDRs") or filter(None, [spec.get("podCIDR")])
    return NodeSeen(
        name=metadata["name"],
        created=metadata.get("creationTimestamp") or "",
        pod_cidrs=tuple(_networks(given)),
        addresses=tuple(_addresses(status.get("addresses") or [])),
        override=annotations.get(OVERRIDE, ""),
        published=annotations.get(PREFIXES, ""),
        taints=tuple(taint.get("key", "") for taint in spec.get("taints") or []),
        conditions={
            one.get("type", ""): (one.get("status", ""), one.get("reason", ""), one.get("message", ""))
            for one in status.get("conditions") or []
        },
    )


def service_cidrs(document: Document) -> tuple[Prefix, ...]:
    """Read a ServiceCIDR."""
    return tuple(_networks(document.get("spec", {}).get("cidrs") or []))


def listed(text: str) -> list[Prefix]:
    """Read an annotation that holds a JSON list of prefixes; raise ValueError when it does not."""
    if not text:
        return []
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError('it is no JSON list of prefixes, such as ["2001:db8:0:1:1::/80"]')
    return [ip_network(one) for one in found]


def _networks(texts: Iterable[str]) -> Iterator[Prefix]:
    for text in texts:
        with suppress(ValueError):
            yield ip_network(text, strict=False)


def _addresses(entries: Iterable[Mapping[str, str]]) -> Iterator[Address]:
    """Give the addresses; what is none is left out, since the API checks nothing of what a kubelet writes there."""
    for kind in ("InternalIP", "ExternalIP"):
        for entry in entries:
            if entry.get("type") == kind:
                with suppress(ValueError):
                    yield ip_address(entry.get("address", ""))
