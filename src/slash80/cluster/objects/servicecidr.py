"""ServiceCIDRs: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/service-cidr-v1/."""

from __future__ import annotations

from slash80.addressing.family import Prefix
from slash80.cluster.objects.reading import Document, Resource, mapping, prefixes, texts

_MOST = 16  # the API has one or two


def read_service_cidr(document: Document) -> tuple[Prefix, ...]:
    """Read the ranges of a ServiceCIDR, one for each family."""
    return tuple(prefixes(texts(mapping(document, "spec"), "cidrs", most=_MOST)))


SERVICE_CIDRS = Resource("/apis/networking.k8s.io/v1/servicecidrs", read_service_cidr)
