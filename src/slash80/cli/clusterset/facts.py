"""What a cluster is as a member: its certificate, its pods' prefixes, and where its program is now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slash80.addressing.family import Prefix
from slash80.cli.clusterset.contexts import NAMESPACE, listed
from slash80.cli.clusterset.own import certificate
from slash80.cluster.api import Api
from slash80.cluster.lookup import Lookup
from slash80.cluster.objects import reading
from slash80.cluster.objects.reading import mapping, mappings, text
from slash80.errors import Failure, InvalidConfig
from slash80.settings import cluster
from slash80.settings.clusterset import PORT, Place

_CONFIG = Path("config.yaml of ConfigMap slash80")
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_OF_PROGRAM = "app.kubernetes.io/name=slash80-clusterset"


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read; `left_out` are prefixes of IPv4, which most clusters have in common with others."""

    certificate: bytes
    prefixes: tuple[Prefix, ...]
    at: tuple[Place, ...]
    left_out: tuple[Prefix, ...] = ()


def facts(context: str, api: Api, *, with_ipv4: bool) -> Facts:
    """Ask a cluster; raise CniError, Refused or Unreachable."""
    der = certificate(context, api)
    found = _prefixes(context, Lookup(api))
    taken = tuple(one for one in found if with_ipv4 or one.version == 6)
    left_out = tuple(one for one in found if one not in taken)
    if not taken:
        had = ", ".join(map(str, left_out))
        raise InvalidConfig(
            f"firewall.clusterPrefixes of ConfigMap slash80 has IPv4 only ({had}); add the IPv6 prefixes of its pods, "
            "or give --with-ipv4 where these are routed between the clusters and no two have the same"
        )
    return Facts(der, taken, tuple(_places(api, taken)), left_out)


def _prefixes(context: str, asking: Lookup) -> tuple[Prefix, ...]:
    config = asking.config
    if config is None:
        raise Failure(f"ConfigMap slash80 cannot be read: {'; '.join(asking.unseen.values())}")
    found = tuple(cluster.parse(config, _CONFIG).firewall.cluster_prefixes)
    if not found:
        nodes = f"kubectl --context {context} get nodes -o custom-columns=:.spec.podCIDRs"
        raise InvalidConfig(
            f"{_CONFIG} has no firewall.clusterPrefixes, so which addresses its pods have is not known for good; set "
            f"it there to prefixes that hold those of all nodes, now and later ({nodes} shows those of now)"
        )
    return found


def _places(api: Api, prefixes: tuple[Prefix, ...]) -> Iterator[Place]:
    """Yield where its program answers now, which is a hint for the first connection."""
    for pod in listed(api, _PODS, labelSelector=_OF_PROGRAM):
        ips = (text(one, "ip") for one in mappings(mapping(pod, "status"), "podIPs"))
        for single in reading.prefixes(ips):
            if any(single.network_address in prefix for prefix in prefixes):
                yield Place(str(single.network_address), PORT)
