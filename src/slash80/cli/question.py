"""What `slash80 why` is asked: protocol and port, and the ends of the connection, found by name or address."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address

from slash80.addressing.family import FAMILIES, Address, Prefix
from slash80.addressing.ports import BY_NAME, LAST_PORT, Protocol
from slash80.cli.node_side import NodeSide
from slash80.cluster.lookup import Lookup, PodFound
from slash80.cluster.objects.service import Service, ServicePort
from slash80.errors import Failure, shown
from slash80.explain.records import End, Kind, Result, Step, Translation, Via, of_pod
from slash80.firewall.records import IPPROTO_ICMP, IPPROTO_ICMPV6
from slash80.policy.model import Pod

_PORT = re.compile(r"(tcp|udp|sctp)/([0-9]{1,5})", re.IGNORECASE)
_EVERY = ("", *(str(family.address(0)) for family in FAMILIES))  # host addresses that are all of a node's
_PINGS = {"icmp", "ping"}
_KINDS = {"pod": "pod", "node": "node", "service": "service", "svc": "service"}


class Usage(Exception):
    """A question that cannot be understood."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A protocol and a port; None of either is an echo request."""

    protocol: Protocol | None
    port: int

    def number(self, version: int) -> int:
        """Return the protocol's number in a family."""
        return self.protocol or {4: IPPROTO_ICMP, 6: IPPROTO_ICMPV6}[version]

    def __str__(self) -> str:
        """Write it as it is asked."""
        return f"{self.protocol}/{self.port}" if self.protocol else "icmp"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a connection ends: an end, the addresses of it that are meant, and the port behind a translation.

    `refusal` is why a Service leads nowhere, or why that is not known.
    """

    end: End
    addresses: tuple[Address, ...]
    port: int
    translation: Translation | None = None
    refusal: Step | None = None


def read_asked(text: str) -> Asked:
    """Read `tcp/80` or `icmp`; raise Usage."""
    if text.lower() in _PINGS:
        return Asked(None, 0)
    found = _PORT.fullmatch(text)
    if found is None or not 0 < int(found[2]) <= LAST_PORT:
        raise Usage(
            f"{shown(text)} is not a protocol with a port; write it as tcp/80, udp/53 or sctp/9, or icmp for a ping"
        )
    return Asked(BY_NAME[found[1].lower()], int(found[2]))


class Finder:
    """Finds ends by what the API shows, what this node knows, or both."""

    def __init__(self, namespace: str, lookup: Lookup | None, here: NodeSide | None) -> None:
        """Look for nothing yet; `namespace` is that of names without one."""
        self._namespace, self._lookup, self._here = namespace, lookup, here

    def prefixes(self) -> Iterator[tuple[str, Prefix]]:
        """Yield the nodes' names and their pods' prefixes."""
        if self._here:
            yield from ((self._here.name, prefix) for prefix in self._here.prefixes)
        for node in self._lookup.nodes if self._lookup else ():
            yield from ((node.name, prefix) for prefix in node.announced or node.pod_cidrs)

    def source(self, text: str) -> tuple[End, tuple[Address, ...]]:
        """Return who begins the connection, and the addresses that it may have; raise Usage or Failure."""
        kind, namespace, name, address = self._parsed(text)
        if address:
            return self._at(address), (address,)
        found = self.pod(namespace, name) if kind in {"", "pod"} else None
        named = of_pod(found.pod) if found else self._node(name) if kind == "node" else None
        if named is None:
            raise Failure(f"there is no {_what(kind or 'pod', namespace, name)}{self._hint()}")
        return named, self._with_addresses(named).addresses

    def targets(self, text: str, asked: Asked | None, source: End) -> tuple[Asked, list[Target]]:
        """Return what is asked and where that leads; raise Usage or Failure."""
        kind, namespace, name, address = self._parsed(text)
        found = None if address or kind in {"node", "service"} else self.pod(namespace, name)
        if found:
            asked = asked or _only(map(str, found.declared.ports), f"pod {found.pod}")
            return asked, [self._plain(of_pod(found.pod), asked)]
        if kind in {"", "service"} and not address and (service := self._service(namespace, name)):
            asked = asked or _only(map(str, service.ports), str(service))
            return asked, self._of_service(service, asked, source)
        if asked is None:
            raise Usage("which port is meant? Write it after the destination as tcp/80, or icmp for a ping")
        if address:
            end = self._at(address)
            return asked, self._translated(end, address, asked) or [Target(end, (address,), asked.port)]
        if kind == "node":
            if (node := self._node(name)) is None:
                raise Failure(f"there is no {_what(kind, namespace, name)}{self._hint()}")
            return asked, self._translated(node, None, asked) or [self._plain(node, asked)]
        raise Failure(f"there is no {_what(kind or 'pod or Service', namespace, name)}{self._hint()}")

    def pod(self, namespace: str, name: str) -> PodFound | None:
        """Return a pod by its name: as the API shows it, else as this node recorded it."""
        if self._lookup and (found := self._lookup.pod(namespace, name)):
            return found
        for pod in self._here.pods if self._here else ():
            if (pod.namespace, pod.name) == (namespace, name):
                return PodFound(pod)
        return None

    def _parsed(self, text: str) -> tuple[str, str, str, Address | None]:
        """Return kind, namespace, name and address of an argument."""
        try:
            return "", "", "", ip_address(text.strip("[]"))
        except ValueError:
            pass
        kind, _, rest = text.partition("/")
        if kind in _KINDS and rest:
            namespace, _, name = rest.rpartition("/") if kind != "node" else ("", "", rest)
            kind = _KINDS[kind]
        else:
            kind, (namespace, _, name) = "", text.rpartition("/")
        if not name or "/" in namespace:
            raise Usage(f"{shown(text)} is not a name; write namespace/name, node/NAME, service/NAME or an address")
        return kind, namespace or self._namespace, name, None

    def _hint(self) -> str:
        if self._lookup is None:
            return " on this node, and no API was asked; give --kubeconfig, or name it by its address"
        hidden = [f"{what} cannot be read: {reason}" for what, reason in self._lookup.unseen.items()]
        return f", as far as can be seen: {'; '.join(hidden)}" if hidden else ""

    def _with_addresses(self, end: End) -> End:
        if end.addresses:
            return end
        raise Failure(f"{end} has no address yet; wait until it runs")

    def _plain(self, end: End, asked: Asked) -> Target:
        return Target(end, self._with_addresses(end).addresses, asked.port)

    def _node(self, name: str) -> End | None:
        for node in self._lookup.nodes if self._lookup else ():
            if node.name == name:
                return End(Kind.NODE, name, node.addresses, name)
        if self._here and self._here.name == name:
            return End(Kind.NODE, name, self._here.addresses, name)
        return None

    def _at(self, address: Address) -> End:
        """Return whose an address is."""
        if found := self._pod_at(address):
            return replace(of_pod(found), addresses=(address,))
        for node in self._lookup.nodes if self._lookup else ():
            if address in node.addresses:
                return End(Kind.NODE, node.name, node.addresses, node.name)
        if self._here and address in self._here.addresses:
            return End(Kind.NODE, self._here.name, self._here.addresses, self._here.name)
        return End(Kind.HOST, "", (address,))

    def _pod_at(self, address: Address) -> Pod | None:
        """Return the pod with an address: of several the one that the API's clients take for it, too."""
        here = [pod for pod in self._here.pods if address in pod.addresses] if self._here else []
        here += [pod for one, pod in self._here.further.items() if one == address] if self._here else []
        node = next((name for name, prefix in self.prefixes() if address in prefix), "")
        shown_ones = [one.pod for one in self._lookup.pods_at(address, node)] if self._lookup else []
        return max(
            (one for one in shown_ones if one.selectable), key=lambda one: one.claim, default=next(iter(here), None)
        )

    def _service(self, namespace: str, name: str) -> Service | None:
        return self._lookup.service(namespace, name) if self._lookup else None

    def _of_service(self, service: Service, asked: Asked, source: End) -> list[Target]:
        """Return the endpoints of a Service; from outside by its NodePort, as its ClusterIP is for the cluster."""
        port = next((one for one in service.ports if (one.protocol, one.port) == (asked.protocol, asked.port)), None)
        if port is None:
            step = Step("service", Result.DROP, f"{service} has no port {asked}, so kube-proxy leads nowhere")
            return [self._nowhere(service, step, port=asked.port)]
        if source.kind is Kind.HOST and (port.node_port or service.external):
            via = Via.LOAD_BALANCER if service.external else Via.NODE_PORT
            return self._endpoints(
                service, port, Translation(via, str(service), None, port.node_port or port.port, local=service.local)
            )
        if not service.cluster_ips:  # headless: names lead straight to the pods
            return self._endpoints(service, port, None)
        return [
            target
            for address in service.cluster_ips
            for target in self._endpoints(service, port, Translation(Via.CLUSTER_IP, str(service), address, port.port))
        ]

    def _translated(self, end: End, address: Address | None, asked: Asked) -> list[Target]:
        """Return where a Service or host port leads what is sent to an address, or to any of a node; else nothing."""
        if not asked.protocol or end.kind is Kind.POD:
            return []
        for service in self._lookup.services if self._lookup else ():
            for port in (one for one in service.ports if one.protocol == asked.protocol):
                if led := _led(service, port, end, address=address, asked=asked.port):
                    return self._endpoints(service, port, led)
        return list(self._host_ports(end, address, asked)) if end.kind is Kind.NODE else []

    def _endpoints(self, service: Service, port: ServicePort, led: Translation | None) -> list[Target]:
        listed = self._lookup.endpoints(service) if self._lookup else None
        if listed is None:
            step = Step(
                "service", Result.UNKNOWN, f"the endpoints of {service} could not be read, so this is not known"
            )
            return [self._nowhere(service, step, port=port.port, led=led)]
        version = led.address.version if led and led.address else None
        found = [
            one
            for one in listed
            if (one.name, one.protocol) == (port.name, port.protocol) and version in {None, one.address.version}
        ]
        if not found:
            text = f"{service} has no endpoint for {port} that is ready, so kube-proxy refuses connections to it"
            return [self._nowhere(service, Step("service", Result.DROP, text), port=port.port, led=led)]
        return [Target(self._at(one.address), (one.address,), one.port, led) for one in found]

    def _nowhere(self, service: Service, step: Step, *, port: int, led: Translation | None = None) -> Target:
        addresses = (led.address,) if led and led.address else service.cluster_ips or service.external
        if not addresses:
            raise Failure(f"{step.sentence}, and it has no address either")
        return Target(End(Kind.HOST, "", addresses), addresses, port, refusal=step)

    def _host_ports(self, node: End, address: Address | None, asked: Asked) -> Iterator[Target]:
        if self._here and node.name == self._here.name:
            for mapping, pod in self._here.mappings:
                if (mapping.protocol, mapping.host_port) == (asked.protocol, asked.port):
                    host = address or node.address(mapping.host_ip.version)
                    if (
                        host
                        and host.version == mapping.host_ip.version
                        and (mapping.host_ip.is_unspecified or host == mapping.host_ip)
                    ):
                        led = Translation(Via.HOST_PORT, f"node {node.name}", host, mapping.host_port, receiver=node)
                        known = self.pod(pod.namespace, pod.name)
                        yield Target(of_pod(known.pod if known else pod), pod.addresses, mapping.container_port, led)
            return
        for found in self._lookup.pods_on(node.name) if self._lookup else ():
            for one in found.declared.ports if found.pod.selectable else ():
                if (one.protocol, one.host_port) == (asked.protocol, asked.port) and one.host_ip in {
                    *_EVERY,
                    str(address),
                }:
                    led = Translation(Via.HOST_PORT, f"node {node.name}", address, one.host_port, receiver=node)
                    yield Target(of_pod(found.pod), found.pod.addresses, one.port, led)


def _what(kind: str, namespace: str, name: str) -> str:
    return f"node {name}" if kind == "node" else f"{kind} {namespace}/{name}"


def _led(service: Service, port: ServicePort, end: End, *, address: Address | None, asked: int) -> Translation | None:
    """Return how a Service translates a port of an address, if it does."""
    if address in service.cluster_ips and port.port == asked:
        return Translation(Via.CLUSTER_IP, str(service), address, asked)
    if address in service.external and port.port == asked:
        return Translation(Via.LOAD_BALANCER, str(service), address, asked, local=service.local)
    if end.kind is Kind.NODE and port.node_port == asked:
        return Translation(Via.NODE_PORT, str(service), address, asked, local=service.local, receiver=end)
    return None


def _only(declared: Iterable[str], what: str) -> Asked:
    """Return the only port that is declared; raise Usage where there is not one."""
    ports = list(dict.fromkeys(declared))
    if len(ports) == 1:
        return read_asked(ports[0])
    has = f"declares {', '.join(ports)}" if ports else "declares no port"
    raise Usage(
        f"which port is meant? {what} {has}; write one after it, such as {ports[0] if ports else 'tcp/80'}, or icmp"
    )


def families(sources: Iterable[Address], targets: Iterable[Target]) -> list[int]:
    """Return the families that both sides have, IPv6 first."""
    theirs = {address.version for target in targets for address in target.addresses}
    return sorted({address.version for address in sources} & theirs, reverse=True)
