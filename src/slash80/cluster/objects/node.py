"""Nodes: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from slash80.addressing.family import Address, Prefix
from slash80.cluster.objects.reading import Document, Resource, entries, mapping, mappings, prefixes, text, texts
from slash80.cni import addresses
from slash80.errors import shown

OVERRIDE = "slash80.io/prefix-override"
PREFIXES = "slash80.io/prefixes"
TAINT = "slash80.io/not-ready"
UNAVAILABLE = "NetworkUnavailable"
_MOST = 64  # addresses and prefixes of a node: the most that a cloud lists are some dozen
_ANNOTATION = 64 << 10  # characters
_CHARACTERS = 64  # of an address
_KINDS = ("InternalIP", "ExternalIP")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """What matters of a Node, each part read alone: `faults` says which parts could not be, and were left out.

    `override` and `published` are annotations as they stand there, `announced` the prefixes in the latter.
    """

    name: str
    created: str
    pod_cidrs: tuple[Prefix, ...] = ()
    addresses: tuple[Address, ...] = ()
    override: str = ""
    published: str = ""
    announced: tuple[Prefix, ...] = ()
    taints: tuple[str, ...] = ()
    conditions: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    @property
    def seniority(self) -> tuple[str, str]:
        """What nodes are ordered by where two of them claim the same: the older one comes first."""
        return self.created, self.name


def read_node(document: Document) -> NodeSeen:
    """Read a Node; `conditions` are status, reason and message by type, `addresses` its own in the cluster's order.

    A kubelet may write nearly all of it, so whatever is wrong costs that part of that node only.
    """
    metadata, spec, status = (mapping(document, key) for key in ("metadata", "spec", "status"))
    parts = _Parts()
    annotations = parts.read("metadata", lambda: mapping(metadata, "annotations")) or {}
    override, published = (
        parts.read(f"annotation {key}", partial(text, annotations, key, most=_ANNOTATION)) or ""
        for key in (OVERRIDE, PREFIXES)
    )
    return NodeSeen(
        name=text(metadata, "name"),
        created=text(metadata, "creationTimestamp"),
        pod_cidrs=tuple(_pod_cidrs(spec, parts)),
        addresses=tuple(_addresses(status, parts)),
        override=override,
        published=published,
        announced=parts.read(f"annotation {PREFIXES}", lambda: tuple(listed(published))) or (),
        taints=parts.read("spec.taints", lambda: tuple(text(taint, "key") for taint in mappings(spec, "taints"))) or (),
        conditions=parts.read("status.conditions", lambda: _conditions(status)) or {},
        faults=tuple(parts.faults),
    )


NODES = Resource("/api/v1/nodes", read_node)


def listed(annotation: str) -> list[Prefix]:
    """Read an annotation that holds a JSON list of prefixes; raise ValueError when it does not."""
    if not annotation:
        return []
    if len(annotation) > _ANNOTATION:
        raise ValueError(f"it has {len(annotation)} characters, of which at most {_ANNOTATION} are read")
    try:
        found = json.loads(annotation)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError('it is not a JSON list of prefixes, such as ["2001:db8:0:1:1::/80"]')
    if len(found) > _MOST:
        raise ValueError(f"it has {len(found)} prefixes, of which at most {_MOST} are read")
    return [*prefixes(found, strict=True)]


class _Parts:
    """Reads one part after the other, and collects why some of them could not be read."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def read(self, what: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ValueError as error:
            self.faults.append(f"{what} cannot be used: {error}")
            return None


def _pod_cidrs(spec: Mapping[str, Any], parts: _Parts) -> Iterator[Prefix]:
    values = parts.read("spec", lambda: texts(spec, "podCIDRs", most=_MOST)) or []
    if not values and (alone := parts.read("spec", lambda: text(spec, "podCIDR"))):
        values = [alone]  # the field of before dual stack
    for value in values:
        yield from parts.read("spec.podCIDRs", partial(_read_prefix, value)) or ()


def _read_prefix(value: str) -> tuple[Prefix, ...]:
    return tuple(prefixes([value]))


def _addresses(status: Mapping[str, Any], parts: _Parts) -> Iterator[Address]:
    """Yield the addresses; the API server does not check what a kubelet writes there."""
    found = parts.read("status.addresses", lambda: entries(status, "addresses")) or []
    if len(found) > _MOST:
        parts.faults.append(f"status.addresses has {len(found)} entries, of which the first {_MOST} are read")
    typed = [entry for entry in found[:_MOST] if isinstance(entry, dict)]
    for kind in _KINDS:
        for entry in typed:
            if entry.get("type") == kind:
                where = f"{kind} {shown(entry.get('address'))}"
                if address := parts.read(where, partial(_read_address, entry)):
                    yield address


def _read_address(entry: Mapping[str, Any]) -> Address:
    return addresses.address(text(entry, "address", most=_CHARACTERS))


def _conditions(status: Mapping[str, Any]) -> dict[str, tuple[str, str, str]]:
    return {
        text(one, "type"): (text(one, "status"), text(one, "reason"), text(one, "message"))
        for one in mappings(status, "conditions")
    }
