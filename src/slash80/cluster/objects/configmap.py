"""ConfigMaps: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/config-map-v1/."""

from __future__ import annotations

from collections.abc import Mapping

from slash80.cluster.objects.reading import Document, Resource, mapping, text

CLUSTERSET, CLUSTERSET_FILE = "slash80-clusterset", "clusterset.yaml"  # as `settings.clusterset` has them
_MOST = 1 << 20  # characters: the API server takes no larger ConfigMap


def read_config_map(document: Document) -> Mapping[str, str]:
    """Return the texts of a ConfigMap by their keys."""
    data = mapping(document, "data")
    return {key: text(data, key, most=_MOST) for key in data}


# Those of slash80's own namespace; followed one by one by a field selector, since the right is to one by name.
CONFIG_MAPS = Resource("/api/v1/namespaces/slash80-system/configmaps", read_config_map)
