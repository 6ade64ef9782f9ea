"""Namespaces: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slash80.addressing.openings import ALLOW_EXPOSE
from slash80.cluster.objects.reading import Document, Resource, Unreadable, mapping, text

if TYPE_CHECKING:
    from slash80.policy.model import Namespace

_NAME = 63  # characters, of a DNS label (RFC 1123)


def read_exposing(document: Document) -> str | None:
    """Return a Namespace's name if it has the label, else None.

    Labels that cannot be understood are no label: an object that cannot be read would keep its right.
    """
    metadata = mapping(document, "metadata")
    labels = metadata.get("labels")
    if not isinstance(labels, dict) or labels.get(ALLOW_EXPOSE) != "true":
        return None
    return text(metadata, "name", most=_NAME)


# By the label: the API server sends no other Namespace, and tells of one that loses it as of one that is deleted.
EXPOSING_NAMESPACES = Resource("/api/v1/namespaces", read_exposing, labels=f"{ALLOW_EXPOSE}=true")


def read_name(document: Document) -> str | None:
    """Return a Namespace's name; None for one that is being deleted, in which nothing can be created any more."""
    metadata = mapping(document, "metadata")
    return None if metadata.get("deletionTimestamp") else text(metadata, "name", most=_NAME)


NAMESPACE_NAMES = Resource("/api/v1/namespaces", read_name)


def read_namespace(document: Document) -> Namespace:
    """Return a Namespace with its labels, by which policies select it."""
    from slash80.cluster.objects.labels import read_labels  # noqa: PLC0415 -- not without policies, as in `selected`
    from slash80.policy.model import Namespace  # noqa: PLC0415 -- the same

    metadata = mapping(document, "metadata")
    name = text(metadata, "name", most=_NAME)
    if not name:
        raise Unreadable("metadata.name is missing")
    return Namespace(name, read_labels(metadata))
