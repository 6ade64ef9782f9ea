"""What the API server would do: asked by dry runs, which change nothing and work on every version of Kubernetes.

https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
"""

from __future__ import annotations

import re

from slash80.addressing.family import Prefix
from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.objects.reading import Document, mapping, prefixes, texts
from slash80.cluster.objects.servicespec import FAMILIES, MANAGED_BY
from slash80.clusterset.documents import MANAGER

_REFUSED, _NO_NAMESPACE = (403, 422), 404
_DERIVED, _FORBIDDEN = "derived-dry-run", "slash80-dry-run"
_OURS = {MANAGED_BY: MANAGER}
# In no range of Services: "this network" (RFC 1122, 3.2.1.3), and addresses whose packets are discarded (RFC 6666).
_OUTSIDE = {"IPv4": "0.0.0.1", "IPv6": "100::1"}
_RANGE = re.compile(r"range of valid IPs is ([0-9A-Fa-f.:]+/[0-9]{1,3})")


def restricted(api: Api, namespace: str) -> bool:
    """Report whether an admission policy keeps this account from writing Services of other names than derived-*.

    It is missing where Kubernetes is older than 1.30 or the manifests were applied in part, and does not match where
    the service account has another name. Raise Unreachable where that cannot be found out.
    """
    try:
        api.create(_services(namespace), _service(namespace, _FORBIDDEN), dryRun="All")
    except Refused as refused:
        if refused.status not in _REFUSED:
            raise Unreachable(f"whether an admission policy is in force is not known: {refused}") from refused
        return True
    return False


def families(api: Api, namespace: str) -> tuple[int, ...]:
    """Return the families of this cluster's Services (4, 6) in their order: what a dual-stack one would get.

    Raise Refused or Unreachable.
    """
    made = api.create(_services(namespace), _service(namespace, _DERIVED), dryRun="All")
    found = texts(mapping(made, "spec"), "ipFamilies")
    return tuple(FAMILIES[one] for one in found if one in FAMILIES)


def service_ranges(api: Api, namespace: str) -> tuple[Prefix, ...]:
    """Return the ranges of this cluster's Services, as the refusals of addresses outside name them; none from 1.33 on.

    Raise Refused for another reason, or Unreachable.
    """
    return tuple(prefixes(filter(None, (_range(api, namespace, family) for family in _OUTSIDE))))


def _range(api: Api, namespace: str, family: str) -> str:
    document = _service(namespace, _DERIVED)
    document["spec"] |= {"ipFamilyPolicy": "SingleStack", "ipFamilies": [family], "clusterIP": _OUTSIDE[family]}
    try:
        api.create(_services(namespace), document, dryRun="All")
    except Refused as refused:
        if refused.status not in {*_REFUSED, _NO_NAMESPACE}:
            raise
        named = _RANGE.search(str(refused))
        return named[1] if named else ""
    return ""


def _services(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/services"


def _service(namespace: str, name: str) -> Document:
    metadata = {"name": name, "namespace": namespace, "labels": _OURS}
    spec = {"ipFamilyPolicy": "PreferDualStack", "ports": [{"name": "dry-run", "port": 1}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
