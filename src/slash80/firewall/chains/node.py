"""Chain `node`: what pods may reach on the node that they run on, by whichever of its addresses they try."""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import IPV4, IPV6
from slash80.addressing.ports import BY_NAME, merged
from slash80.firewall.drops import dropped
from slash80.firewall.records import IPPROTO_ICMP, IPPROTO_ICMPV6, PODS, Chain, NamedSet, Settings

# Behind kube-proxy's ipvs mode (98 and 99 of this hook), which takes what it leads to a Service, whose ClusterIPs are
# addresses of the node there. What other filters (0) drop does not get here, and an accept of theirs is not final.
_HOOK = "type filter hook input priority filter + 101; policy accept;"
NODE_SETS = {f"node_{protocol}": protocol for protocol in BY_NAME}


def sets(settings: Settings) -> Iterator[NamedSet]:
    """Return a set of ports for each protocol that has some."""
    listed = merged(settings.node or ())
    for name, protocol in NODE_SETS.items():
        if ports := tuple(one.ports for one in listed if one.protocol == protocol):
            yield NamedSet(name, "inet_service", "flags interval;", ports)


def chains(settings: Settings) -> Iterator[Chain]:
    """Return the chain, if something is closed."""
    if settings.node is not None:
        yield Chain("node", tuple(_rules(settings)), _HOOK)


def _rules(settings: Settings) -> Iterator[str]:
    yield f"iifname != {PODS} accept"
    # To what the node began, probes of the kubelet above all. Not what a pod began, of which every packet is asked.
    yield "ct direction reply accept"
    yield "ct status expected accept"  # by a helper of a protocol, as FTP's
    # Services whose endpoint is the node itself: the API server, NodePorts of pods with hostNetwork.
    yield "ct status dnat accept"
    # Neighbours, errors, echo requests; `source` has dropped what only routers send.
    yield f"meta nfproto {IPV4.key} meta l4proto {IPPROTO_ICMP} accept"
    yield f"meta nfproto {IPV6.key} meta l4proto {IPPROTO_ICMPV6} accept"
    # Node-local DNS has an address of its operator's choice: 169.254.20.10, one of fd00::/8, the ClusterIP of kube-dns.
    yield from (f"{protocol} dport 53 accept" for protocol in ("udp", "tcp"))
    yield from (f"{NODE_SETS[one.name]} dport @{one.name} accept" for one in sets(settings))
    yield from dropped("node")
