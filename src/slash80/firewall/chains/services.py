"""Connections that kube-proxy translated, as the chain `edge` judges them: NodePorts, load balancers, ClusterIPs.

A connection that was translated passes, since its NodePort or load balancer was opened on purpose; unless it was sent
to a ClusterIP, which only the cluster's own may do. Where the Services' ranges are not known, none passes.
"""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import FAMILIES, Family
from slash80.firewall.drops import dropped
from slash80.firewall.records import PODS, NamedSet, Settings, of_family, prefix_set, word

SERVICE_SETS = tuple(f"services{family.version}" for family in FAMILIES)


def sets(family: Family, settings: Settings) -> Iterator[NamedSet]:
    """Return the ClusterIPs of a family, or where those are not known the cluster's pods."""
    if of_family(family, settings.services):
        yield prefix_set("services", family, settings.services)
    elif of_family(family, settings.cluster):
        yield prefix_set("cluster", family, settings.cluster)


def to_cluster_ips(settings: Settings) -> Iterator[str]:
    """Return the words that match what is sent to a ClusterIP, of each family in which those are known."""
    for family in FAMILIES:
        if of_family(family, settings.services):
            yield f"{word(family)} daddr @services{family.version}"


def refused(settings: Settings) -> Iterator[str]:
    """Return the rules against connections from outside that may not be led on to a pod of another node.

    kube-proxy masquerades them, so they would reach that node with an address of this one, which it trusts; they can be
    judged only here. `ct direction original`: replies to a pod's own connection to a Service come from wherever that
    leads. `ct original`: by now the packet's destination is the pod, and connection tracking still knows the ClusterIP.
    """
    for family in FAMILIES:
        for rule in _led_to_pods(family, settings, f"oifname != {PODS}"):
            yield f"iifname != {PODS} {word(family)} saddr != @trusted{family.version} {rule}"


def refused_to_the_untrusted(settings: Settings) -> Iterator[str]:
    """Return the same rules for packets from outside of which it is known that their source is not to be trusted."""
    yield from (rule for family in FAMILIES for rule in _led_to_pods(family, settings, f"fib daddr oifname != {PODS}"))


def _led_to_pods(family: Family, settings: Settings, elsewhere: str) -> Iterator[str]:
    """Return the rule of a family; `elsewhere` is said of packets that do not go to a pod of this node.

    Where ClusterIPs are known their pods may be here, too. Where only the pods are known, the packet may have come by a
    host port, if its pod is here: chain `untrusted` judges those.
    """
    begun, version, ip = "ct direction original ct status dnat", family.version, word(family)
    if of_family(family, settings.services):
        yield from dropped("clusterip", f"{begun} ct original {ip} daddr @services{version}", family=family)
    elif of_family(family, settings.cluster):
        yield from dropped("clusterip", f"{begun} {ip} daddr @cluster{version} {elsewhere}", family=family)


def accepted(settings: Settings) -> Iterator[str]:
    """Return the rules that accept what came to a NodePort or a load balancer.

    A ClusterIP can be routed to a node from outside as well: kube-proxy translates that too, and it is not meant here.
    """
    for family in FAMILIES:
        if of_family(family, settings.services):
            yield f"ct status dnat ct original {word(family)} daddr != @services{family.version} accept"
