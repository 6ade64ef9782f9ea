"""Chain `hostport`: ports of the node that lead to ports of its pods.

A rule for each protocol that asks maps, and not one for each pod. A mapping of one host address is asked before those
of all addresses.
"""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import FAMILIES, IPV4, IPV6, Family
from slash80.addressing.ports import PROTOCOLS
from slash80.firewall import host_ports
from slash80.firewall.chains import services
from slash80.firewall.chains.forged import own_set
from slash80.firewall.drops import dropped
from slash80.firewall.elements import pod_set
from slash80.firewall.records import PODS, Chain, Settings, word

# After kube-proxy, which translates at dstnat: a host port takes nothing from a Service with the same address and port
# (CVE-2019-9946). All chains of type nat come before those of other types at dstnat (nf_nat_inet_fn).
_PREROUTING = "type nat hook prerouting priority dstnat + 1; policy accept;"
_OUTPUT = "type nat hook output priority -99; policy accept;"
_LOOPBACK = {IPV4: "127.0.0.0/8", IPV6: "::1"}


def chains(settings: Settings) -> Iterator[Chain]:
    """Return the chains: what comes in by a link, and what the node itself sends."""
    yield Chain("hostport", tuple(_rules(settings)))
    yield Chain("hostport_prerouting", tuple(_from_links(settings)), _PREROUTING)
    yield Chain("hostport_output", ("goto hostport",), _OUTPUT)


def _rules(settings: Settings) -> Iterator[str]:
    # Before any map: a pod's `hostIP` may be another pod's address, or a resolver's on the Internet.
    yield "fib daddr type != local return"
    # kube-proxy's ipvs mode gives the node every ClusterIP as an address, and translates after this chain.
    yield from (f"{to_service} return" for to_service in services.to_cluster_ips(settings))
    for every in (False, True):
        yield from (_translation(family, str(protocol), every=every) for family in FAMILIES for protocol in PROTOCOLS)


def _translation(family: Family, protocol: str, *, every: bool) -> str:
    ip, (to_address, to_port) = word(family), host_ports.maps(family, every=every)
    key = f"meta l4proto . {protocol} dport" if every else f"{ip} daddr . meta l4proto . {protocol} dport"
    return f"dnat {ip} to {key} map @{to_address} : {key} map @{to_port}"


def _from_links(settings: Settings) -> Iterator[str]:
    # It would be translated before the kernel finds that no link may bring it (martian destination).
    yield from (f"{word(family)} daddr {loopback} return" for family, loopback in _LOOPBACK.items())
    if settings.host_ports == "none":
        yield f"iifname != {PODS} return"
    elif settings.host_ports == "trusted":
        for family in FAMILIES:
            yield f"iifname != {PODS} {word(family)} saddr != @trusted{family.version} return"
    yield "goto hostport"


def judged(settings: Settings) -> Iterator[str]:
    """Return the rules about connections by a host port from outside, for chain `untrusted`.

    What may not come in is not translated in the first place. But a connection may be older than the setting, or by its
    source a trusted one that came in by a wrong link; and a rule for Services would accept what is translated. One by
    the same port to a Service's address is no such: a host port's address is the node's own.
    """
    for family in FAMILIES:
        for translated in _translated(family):
            if settings.host_ports == "open":
                yield f"{translated} accept"
            else:
                own = f"{translated} ct original {word(family)} daddr @{own_set(family)}"
                yield from dropped("hostport", own, family=family)


def refused(settings: Settings) -> Iterator[str]:
    """Return the rules of `edge` before trusted sources are accepted."""
    if settings.host_ports == "none":
        yield from judged(settings)


def _translated(family: Family) -> Iterator[str]:
    # By protocol, since nft types `proto-dst` by it; `ct original`: by now the packet's port is the pod's.
    for protocol in PROTOCOLS:
        key = f"{word(family)} daddr . meta l4proto . {protocol} dport . ct original proto-dst"
        yield f"ct direction original ct status dnat {key} @{host_ports.translated_set(family)}"


def masqueraded() -> Iterator[str]:
    """Return the rules of `masquerading` for connections whose answers would not come back by the node.

    A pod that uses its own host port answers itself, unless it sees the node's address. So does one that sees a source
    from loopback, which no link may bring.
    """
    for family in FAMILIES:
        itself = f"ct status dnat oifname . {word(family)} saddr @{pod_set(family)}"
        yield f"{itself} masquerade fully-random"
    for family, loopback in _LOOPBACK.items():
        yield f"oifname {PODS} {word(family)} saddr {loopback} masquerade fully-random"
