"""NetworkPolicies and what they select, as kinds of objects whose readers are loaded with the first object.

A cluster without policies has no such object, and all that they are read as would take 0.25 MiB of each node's memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slash80.cluster.objects.reading import Document, Resource

if TYPE_CHECKING:
    from slash80.policy.model import Namespace, Pod, Policy


def _policy(document: Document) -> Policy:
    from slash80.cluster.objects.networkpolicy import read_network_policy  # noqa: PLC0415 -- see the module

    return read_network_policy(document)


def _namespace(document: Document) -> Namespace:
    from slash80.cluster.objects.namespace import read_namespace  # noqa: PLC0415 -- see the module

    return read_namespace(document)


def _pod(document: Document) -> Pod:
    from slash80.cluster.objects.pod import read_pod  # noqa: PLC0415 -- see the module

    return read_pod(document)


NETWORK_POLICIES = Resource("/apis/networking.k8s.io/v1/networkpolicies", _policy)
NAMESPACES = Resource("/api/v1/namespaces", _namespace)
PODS = Resource("/api/v1/pods", _pod)
# Without those that have ended: their addresses are others' already, and a cluster may keep thousands of them.
RUNNING = "status.phase!=Succeeded,status.phase!=Failed"
