"""What the base firewall does with a new connection, step by step; each rule stands in `firewall/chains/` as well.

tests/unit/explain/test_base.py compares the answers with those of the rules themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from slash80.addressing.family import Address, Prefix, family_of
from slash80.addressing.metadata import SERVICES6, embedded, is_service, leads_to
from slash80.addressing.openings import ALLOW_EXPOSE, EXPOSE
from slash80.addressing.ports import BY_NAME, TCP, UDP, PortRange, Protocol
from slash80.explain.records import Kind, Known, Result, Step, Via, Way
from slash80.firewall.records import Settings

_OPEN_AT_METADATA = {(TCP, 53), (UDP, 53), (UDP, 123)}
_ALWAYS_AT_NODE = {(TCP, 53), (UDP, 53)}
_AT_NODE, _HOST_PORTS = "node", "firewall.hostPorts"


def sender(way: Way, known: Known) -> Iterator[Step]:
    """Yield the step of chains `source` and `forged`: whether the source is the sender's own."""
    source, address = way.source, way.source_address
    if source.kind is Kind.POD:
        text = f"{source} sends from its own address {address}; its node takes packets with no other one from it"
        yield Step("source", Result.ALLOW, text, "chain source")
    elif source.kind is Kind.HOST and address in known.unnamed:
        yield _unnamed("source", address, known)
    elif source.kind is Kind.HOST and (node := known.node_of(address)):
        text = f"no pod has the address {address} of node {node}'s prefix, so no packet with it passes that node"
        yield Step("source", Result.DROP, f"{text}; name a pod that exists", "chain forged")


def led(way: Way, known: Known) -> Iterator[Step]:
    """Yield the step of kube-proxy or chain `hostport`, if there is a translation."""
    if (one := way.translation) is None:
        ranges = known.settings.services if known.settings and way.destination.kind is Kind.HOST else ()
        if any(way.address in prefix for prefix in ranges):
            text = (
                f"{way.address} is in the range of ClusterIPs, but no Service that has it with {way.asked} can be seen"
            )
            yield Step("service", Result.UNKNOWN, f"{text}, so it is not known where it leads")
        return
    to = f"{way.destination}, {way.address} {way.asked}"
    if one.via is Via.HOST_PORT and known.settings and not _may_use_host_ports(way, known.settings):
        text = f"{one} leads {way.source} to no pod, since firewall.hostPorts is '{known.settings.host_ports}'"
        yield Step("service", Result.DROP, f"{text}; set it to 'open'", _HOST_PORTS)
        return
    yield Step("service", Result.SEEN, f"{one} leads to {to}", str(one.via))
    if node := way.masquerading:
        text = (
            f"{node} hides {way.source} behind its own address {way.as_seen.source_address} on the way to another node"
        )
        yield Step("service", Result.SEEN, f"{text}, unless externalTrafficPolicy is Local", "externalTrafficPolicy")


def unrouted(way: Way, known: Known) -> Iterator[Step]:
    """Yield the step of a destination inside a node's prefix that no pod has."""
    if way.destination.kind is Kind.HOST and way.address in known.unnamed:
        yield _unnamed("route", way.address, known)
    elif way.destination.kind is Kind.HOST and (node := known.node_of(way.address)):
        text = f"no pod has the address {way.address} of node {node}'s prefix, so that node answers: unreachable"
        yield Step("route", Result.DROP, f"{text}; name a pod that exists", "discard route")


def leaving(way: Way, known: Known) -> Iterator[Step]:
    """Yield the step of chain `metadata`: what a pod sends to hosts that are not pods of its node."""
    settings = known.settings
    if way.source.kind is not Kind.POD or way.between_local_pods or not is_service(way.address):
        return
    if settings is None:
        yield _unknown("metadata")
    elif (Protocol(way.protocol), way.port) in _OPEN_AT_METADATA:
        yield Step(
            "metadata", Result.ALLOW, f"{way.address} serves metadata, but DNS and NTP there are open", "chain metadata"
        )
    elif _opened(way.address, settings):
        yield Step(
            "metadata", Result.ALLOW, f"{way.address} serves metadata and is in firewall.metadata", "firewall.metadata"
        )
    else:
        text = (
            f"{way.address} serves a cloud's metadata, which is closed to pods; to open it, add it to firewall.metadata"
        )
        yield Step("metadata", Result.DROP, text, "firewall.metadata")


def outward(way: Way, known: Known) -> Iterator[Step]:
    """Yield the step of what goes to no pod: whose address arrives there, and who judges what reaches a node."""
    settings = known.settings
    if way.destination.kind is Kind.NODE:
        text = (
            f"slash80 lets everything reach {way.destination} from elsewhere; the node's own firewall may say otherwise"
        )
        yield Step(_AT_NODE, Result.SEEN, text, "own firewall")
    elif way.source.kind is Kind.NODE and way.destination.kind is Kind.HOST:
        yield Step(_AT_NODE, Result.SEEN, "slash80 asks for nothing that a node itself sends", "own firewall")
    elif way.source.kind is Kind.POD and way.destination.kind is Kind.HOST and settings is not None:
        family = family_of(way.address)
        if family in settings.masquerade and not any(way.address in prefix for prefix in settings.keep_source):
            text = f"{way.destination} sees the node's {family} address and not the pod's: {family.key}.masquerade"
            yield Step("masquerade", Result.SEEN, text, f"{family.key}.masquerade")


def at_own_node(way: Way, known: Known) -> Iterator[Step]:
    """Yield the step between a pod and the node that it runs on, in either direction: no other one follows."""
    if way.source.kind is Kind.NODE:
        text = "a node, and what has its network, always reaches its own pods, whatever firewall and policies say"
        yield Step(_AT_NODE, Result.ALLOW, text, "own node")
        return
    settings = known.settings
    if settings is None:
        yield _unknown(_AT_NODE)
    elif settings.node is None:
        yield Step(_AT_NODE, Result.ALLOW, "a pod reaches its own node, since firewall.node is 'open'", "firewall.node")
    elif way.translation or way.is_ping or (way.protocol, way.port) in _ALWAYS_AT_NODE:
        text = "a pod reaches DNS and Services on its own node, and may ping it, whatever firewall.node lists"
        yield Step(_AT_NODE, Result.ALLOW, text, "chain node")
    elif ports := _listing(settings.node, way):
        yield Step(
            _AT_NODE, Result.ALLOW, f"a pod reaches {ports} on its own node, which firewall.node lists", "firewall.node"
        )
    else:
        text = (
            f"firewall.node does not list {way.asked}, so it is closed to the node's own pods; to open it, add it there"
        )
        yield Step(_AT_NODE, Result.DROP, text, "firewall.node")


def edge(way: Way, known: Known) -> Iterator[Step]:
    """Yield the step of chain `edge` on the destination's node: who opens a connection to a pod from outside of it."""
    settings, seen = known.settings, way.as_seen
    if way.between_local_pods:
        yield Step("edge", Result.SEEN, "both pods are on one node, where the edge asks for nothing", "chain edge")
    elif settings is None:
        yield _unknown("edge")
    elif not settings.closed:
        yield Step("edge", Result.ALLOW, "firewall.mode is 'open', so everybody may reach pods", "firewall.mode")
    elif trusted := _trusting(settings, seen.source_address):
        yield _of_trusted(seen, trusted, known)
    else:
        yield _of_untrusted(seen, known, settings)


def _of_trusted(way: Way, prefix: Prefix, known: Known) -> Step:
    strict = known.settings is not None and known.settings.strict
    links = ", on a link that leads back to it" if strict and way.source.kind is Kind.HOST else ""
    who = f"{way.source} is let in: {way.source_address} is in"
    if (member := known.member_at(way.source_address)) and not member.refusal:
        text = f"{who} the prefix {member.prefix} of {member}, which is trusted{links}; to shut it out, strike it there"
        return Step("edge", Result.ALLOW, text, "clusterset")
    return Step("edge", Result.ALLOW, f"{who} the trusted prefix {prefix}{links}", "firewall.trusted")


def _of_untrusted(way: Way, known: Known, settings: Settings) -> Step:
    who = _untrusted(way.source_address, known)
    if way.is_ping:
        return _of_ping(who, settings)
    opened = _of_translated(way, who, settings) or _of_exposed(way, known, settings)
    return opened or Step("edge", Result.DROP, f"{who}, and {_closed(way, settings)}", "chain untrusted")


def _untrusted(address: Address, known: Known) -> str:
    if member := known.member_at(address):
        why = member.refusal or "which is not in force on the node yet"
        return f"{address} is in the prefix {member.prefix} of {member}, but not trusted: {why}"
    return f"{address} is in no trusted prefix"


def _of_translated(way: Way, who: str, settings: Settings) -> Step | None:
    """Return the step of what the destination's node has translated; None where that opens nothing."""
    via, services = way.translated_there, _services_known(way.address, settings)
    if via is Via.HOST_PORT and settings.host_ports == "open":
        text = "host ports are open to everybody: firewall.hostPorts is 'open'"
        return Step("edge", Result.ALLOW, text, _HOST_PORTS)
    if via is Via.HOST_PORT:
        text = f"{who}, and firewall.hostPorts is '{settings.host_ports}'; set it to 'open', or trust its prefix"
        return Step("edge", Result.DROP, text, _HOST_PORTS)
    if via is Via.CLUSTER_IP and services:
        text = (
            f"{who}, and a ClusterIP is for the cluster's own; use a NodePort or a load balancer, or trust its prefix"
        )
        return Step("edge", Result.DROP, text, "firewall.trusted")
    if via and services:
        text = f"a {via} is open to everybody: firewall.services is 'open'"
        return Step("edge", Result.ALLOW, text, "firewall.services")
    return None


def _of_exposed(way: Way, known: Known, settings: Settings) -> Step | None:
    """Return the step of what goes to a port that is open to everybody; None where it does not."""
    if ports := _listing(settings.expose, way):
        text = f"{ports} of every pod is open to everybody by firewall.expose"
        return Step("edge", Result.ALLOW, text, "firewall.expose")
    of_pod = [ports for address, ports in known.exposed if address == way.address]
    if settings.pods_expose and (ports := _listing(of_pod, way)):
        text = f"{ports} of {way.destination} is open to everybody by its annotation {EXPOSE}"
        return Step("edge", Result.ALLOW, text, f"annotation {EXPOSE}")
    return None


def _of_ping(who: str, settings: Settings) -> Step:
    if settings.echo == "drop":
        text = f"{who}, and firewall.echo is 'drop'; set it to 'limit' to answer pings"
        return Step("edge", Result.DROP, text, "firewall.echo")
    rate = f", {settings.echo_rate} a second from each source" if settings.echo == "limit" else ""
    return Step(
        "edge",
        Result.ALLOW,
        f"pings from outside are let in: firewall.echo is '{settings.echo}'{rate}",
        "firewall.echo",
    )


def _closed(way: Way, settings: Settings) -> str:
    """Return why a connection of a stranger is dropped, and what would let it in."""
    if via := way.translated_there:
        family = family_of(way.address)
        why = f"no {via} is open to it in {family}: firewall.services is 'trusted', or no {family} ClusterIPs are known"
        return f"{why}; set firewall.services to 'open' and firewall.serviceCIDRs, or trust its prefix"
    why = f"{way.asked} of {way.destination} is not open to everybody"
    if str(Protocol(way.protocol)) not in BY_NAME:
        return f"{why}; to let it in, add its prefix to firewall.trusted"
    if not settings.pods_expose:
        return f"{why}; to let it in, add {way.asked} to firewall.expose, or its prefix to firewall.trusted"
    return (
        f"{why}; to let it in, give the pod the annotation {EXPOSE}: {way.asked} (in a namespace with the label "
        f"{ALLOW_EXPOSE}=true where firewall.exposeFrom is 'labelled'), or add its prefix to firewall.trusted"
    )


def _trusting(settings: Settings, address: Address) -> Prefix | None:
    """Return the longest trusted prefix that holds an address."""
    holding = [prefix for prefix in settings.trusted if address in prefix]
    return max(holding, key=lambda prefix: prefix.prefixlen, default=None)


def _may_use_host_ports(way: Way, settings: Settings) -> bool:
    """Report whether a host port is translated for this source: from its own node and that node's pods it always is."""
    receiver = way.translation.receiver if way.translation else None
    if settings.host_ports == "open" or (receiver and way.source.same_node(receiver)):
        return True
    return settings.host_ports == "trusted" and _trusting(settings, way.source_address) is not None


def _services_known(address: Address, settings: Settings) -> bool:
    return any(prefix.version == address.version for prefix in settings.services)


def _opened(address: Address, settings: Settings) -> bool:
    """Report whether a metadata service is open to pods, or the one that a NAT64 leads to."""
    if address.version == 4 or address in SERVICES6 or address in settings.metadata_open:
        return address in settings.metadata_open
    return any(one.version == 4 and embedded(one) == leads_to(address) for one in settings.metadata_open)


def _listing(ranges: Iterable[PortRange], way: Way) -> PortRange | None:
    """Return the range that has the port of a connection."""
    return next((one for one in ranges if one.number == way.protocol and one.first <= way.port <= one.last), None)


def _unnamed(step: str, address: Address, known: Known) -> Step:
    text = f"it could not be read whether {address} is a pod's, so this is not known: {known.unnamed[address]}"
    return Step(step, Result.UNKNOWN, text)


def _unknown(step: str) -> Step:
    return Step(step, Result.UNKNOWN, "the settings of the firewall could not be read, so this is not known", "")
