"""The base table as nft text: settings in, text out, nothing else.

The constructs are old and plain, so that any nft on the node can list them, and load again what it listed: the chain is
called `masquerading` because nft cannot parse one called like its own keyword. Pods are matched by the host end's name
and not by its group, which anybody may change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import collapse_addresses

from slash80.addressing.attachment import DYING_PREFIX, HOST_PREFIX
from slash80.addressing.family import FAMILIES, Family, Network, family_of

TABLE = "slash80"
_PODS, _DYING = f'"{HOST_PREFIX}*"', f'"{DYING_PREFIX}*"'
_ICMPV6 = 58  # by number: nft looks names of protocols up in /etc/protocols, which a bare system has not
_WORDS = {4: "ip", 6: "ip6"}
_MULTICAST = {4: "224.0.0.0/4", 6: "ff00::/8"}
_ECHO_SOURCES = 65536  # sources whose pings are counted at once; a full set lets no further one in


@dataclass(frozen=True, slots=True)
class Settings:
    """What the base table depends on; the same for every network of a node.

    `trusted` are all prefixes that may open connections to pods: other clusters', this one's pods and nodes.
    `masquerade` are the families whose pods hide behind the node; `keep_source` the destinations that see them anyway.
    `services` are the ClusterIPs, in whose families everybody may reach pods through NodePorts and load balancers;
    `cluster` are the prefixes of all pods of the cluster.
    """

    closed: bool
    trusted: tuple[Network, ...]
    echo: str
    echo_rate: int
    masquerade: tuple[Family, ...]
    keep_source: tuple[Network, ...]
    services: tuple[Network, ...] = ()
    cluster: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain: its rules, for a base chain where it is hooked in, for any other how many rules lead to it."""

    name: str
    rules: tuple[str, ...]
    hook: str = ""
    jumps: int = 0


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A table's text, the hash that names it in the kernel, and the chains that must be there."""

    text: str
    fingerprint: str
    chains: tuple[Chain, ...]


def build(settings: Settings) -> Ruleset:
    """Build the whole base table."""
    edge = tuple(_edge(settings))
    chains = (
        Chain("pings", tuple(_pings(settings)), jumps=sum(rule.endswith("goto pings") for rule in edge)),
        # before other people's filters: what we drop nobody sees, and what they accept here is not accepted for us
        Chain("edge", edge, "type filter hook forward priority filter - 10; policy accept;"),
        Chain("source", tuple(_source()), "type filter hook prerouting priority mangle; policy accept;"),
        Chain(
            "masquerading", tuple(_masquerade(settings)), "type nat hook postrouting priority srcnat; policy accept;"
        ),
    )
    lines = [*_sets(settings)]
    for chain in chains:
        hook = (chain.hook,) if chain.hook else ()
        lines += [f"chain {chain.name} {{", *(f"\t{line}" for line in (*hook, *chain.rules)), "}"]
    text = "\n".join(f"\t{line}" for line in lines)
    return Ruleset(text, hashlib.sha256(text.encode()).hexdigest()[:32], chains)


def _sets(settings: Settings) -> Iterator[str]:
    for family in FAMILIES:
        kind = f"ipv{family.version}_addr"
        yield from _set(f"trusted{family.version}", kind, _of(family, settings.trusted))
        yield from _set(f"keepsource{family.version}", kind, _of(family, settings.keep_source))
        if services := _of(family, settings.services):
            yield from _set(f"services{family.version}", kind, services)
        elif cluster := _of(family, settings.cluster):
            yield from _set(f"cluster{family.version}", kind, cluster)
        yield from (
            f"set echo{family.version} {{",
            f"\ttype {kind}; size {_ECHO_SOURCES}; flags dynamic,timeout; timeout 1m;",
            "}",
        )


def _set(name: str, kind: str, prefixes: Iterable[Network]) -> Iterator[str]:
    elements = ", ".join(map(str, prefixes))
    yield from (f"set {name} {{", f"\ttype {kind}; flags interval;")
    if elements:
        yield f"\telements = {{ {elements} }}"
    yield "}"


def _of(family: Family, prefixes: Iterable[Network]) -> list[Network]:
    """Give one family's prefixes in order and without overlaps, which an interval set refuses."""
    return list(collapse_addresses(prefix for prefix in prefixes if family_of(prefix) is family))  # type: ignore[type-var]


def _edge(settings: Settings) -> Iterator[str]:
    """Who may open a connection to a pod from outside.

    Pods of this node reach each other; what pods began may be answered. Of ICMPv6, packet-too-big passes whatever
    connection tracking makes of it, since without it large packets vanish (RFC 4890, 4.3.1); the other errors pass as
    related, echo replies as established. Echo requests come first: all but the first of a series are established too.
    """
    yield f"oifname {_DYING} drop"  # nothing is routed to it: this is for whoever routes by himself
    if not settings.closed:
        return
    yield from _translated(settings)
    yield f"oifname != {_PODS} accept"
    yield f"iifname {_PODS} accept"
    yield from (f"{icmp} type echo-request goto pings" for icmp in ("icmp", "icmpv6"))
    yield "ct state established,related accept"
    yield "icmpv6 type packet-too-big accept"
    yield from _trusted()
    for family in FAMILIES:
        if _of(family, settings.services):
            # who routes a ClusterIP to a node is translated too, but asked for what is the cluster's own
            yield f"ct status dnat ct original {_WORDS[family.version]} daddr != @services{family.version} accept"
    yield "counter drop"


def _translated(settings: Settings) -> Iterator[str]:
    """Which connections from outside may not be led on to a pod of another node.

    kube-proxy hides them behind this node, which the other one trusts; so it can be judged here only. Packets that go
    back are not meant: those of a pod's own connection to a Service come from wherever that leads.
    """
    for family in FAMILIES:
        version, words = family.version, _WORDS[family.version]
        begun = f"iifname != {_PODS} ct direction original ct status dnat {words} saddr != @trusted{version}"
        if _of(family, settings.services):
            yield f"{begun} ct original {words} daddr @services{version} counter drop"
        elif _of(family, settings.cluster):
            yield f"{begun} {words} daddr @cluster{version} counter drop"


def _trusted() -> Iterator[str]:
    yield from (f"{_WORDS[family.version]} saddr @trusted{family.version} accept" for family in FAMILIES)


def _pings(settings: Settings) -> Iterator[str]:
    """Which echo requests from outside reach a pod."""
    if settings.echo == "open":
        yield "accept"
        return
    yield from _trusted()
    if settings.echo == "limit":
        rate = f"limit rate {settings.echo_rate}/second burst {settings.echo_rate} packets"
        # in IPv6 one source is one /64: whoever has one address there has all of them
        yield f"update @echo4 {{ ip saddr {rate} }} accept"
        yield f"update @echo6 {{ ip6 saddr and ffff:ffff:ffff:ffff:: {rate} }} accept"
    yield "counter drop"


def _source() -> Iterator[str]:
    """Which addresses a pod may send from: those that are routed to it, and what neighbour discovery begins with.

    Here and not in the forward hook, or a pod could still forge packets to its own node. Established connections pass
    unasked: each began with a packet that did not.
    """
    yield f"iifname {_DYING} drop"
    yield f"iifname != {_PODS} accept"
    yield "ct state established,related accept"
    yield f"ip6 saddr :: meta l4proto {_ICMPV6} accept"
    yield "fib saddr . iif oif missing counter drop"


def _masquerade(settings: Settings) -> Iterator[str]:
    """Hide pods behind the node on their way out; fully random ports, or two pods can be given the same one at once."""
    for family in settings.masquerade:
        words = _WORDS[family.version]
        keep = f"{words} daddr != @keepsource{family.version} {words} daddr != {_MULTICAST[family.version]}"
        yield f"iifname {_PODS} oifname != {_PODS} meta nfproto ipv{family.version} {keep} masquerade fully-random"
