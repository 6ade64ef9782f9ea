"""Which addresses this cluster's Services have: asked for in the way that its Kubernetes answers.

No other member has pods there. From Kubernetes 1.33 on ServiceCIDRs say it; before that the API server's refusal of an
address outside names the range, since it is set by an option of its.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from slash80.addressing.family import Prefix
from slash80.cluster.api import Api, Refused
from slash80.cluster.objects.reading import Unreadable, mapping, prefixes, texts
from slash80.cluster.objects.servicecidr import SERVICE_CIDRS
from slash80.clusterset import dry_run

_KUBERNETES = "/api/v1/namespaces/default/services/kubernetes"
_NOT_SERVED = {403, 404}  # the former where the manifest of an earlier version has given the rights
_log = logging.getLogger(__name__)


def service_ranges(api: Api, namespace: str) -> tuple[Prefix, ...]:
    """Return the ranges; raise Refused or Unreachable.

    Where neither way answers, the address that every cluster's API has stands for all, see `are_known`.
    """
    return _listed(api) or dry_run.service_ranges(api, namespace) or _of_the_api(api)


def are_known(ranges: Iterable[Prefix]) -> bool:
    """Report whether they are ranges, and not what stands for them."""
    return any(one.num_addresses > 1 for one in ranges)


def _of_the_api(api: Api) -> tuple[Prefix, ...]:
    try:
        spec = mapping(api.get(_KUBERNETES), "spec")
    except Refused as refused:
        if refused.status not in _NOT_SERVED:
            raise
        return ()
    return tuple(prefixes(texts(spec, "clusterIPs")))


def _listed(api: Api) -> tuple[Prefix, ...]:
    try:
        documents = api.items(SERVICE_CIDRS.path)
    except Refused as refused:
        if refused.status not in _NOT_SERVED:
            raise
        return ()
    found: dict[Prefix, None] = {}
    for one in documents:
        try:
            found |= dict.fromkeys(SERVICE_CIDRS.read(one) or ())
        except Unreadable as error:
            _log.warning("a ServiceCIDR cannot be understood: %s", error)
    return tuple(sorted(found, key=lambda one: (one.version, int(one.network_address), one.prefixlen)))
