"""What is asked, what is known of the cluster, and what the answer is made of, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from slash80.addressing.family import Address, Prefix
from slash80.addressing.ports import PROTOCOLS, PortRange, Protocol
from slash80.firewall.records import IPPROTO_ICMP, IPPROTO_ICMPV6, Settings
from slash80.policy.model import Direction, Pod, Snapshot


class Kind(StrEnum):
    """What stands at an end of a connection. A pod with hostNetwork is its node."""

    POD = "pod"
    NODE = "node"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class End:
    """An end of a connection: `name` is that of a pod, a node or empty; `node` is where a pod runs."""

    kind: Kind
    name: str = ""
    addresses: tuple[Address, ...] = ()
    node: str = ""
    pod: Pod | None = None

    def __str__(self) -> str:
        """Name it within a sentence."""
        match self.kind:
            case Kind.HOST:
                return f"host {self.addresses[0]}"
            case Kind.NODE if self.pod:
                return f"pod {self.pod} (in the host network of node {self.name})"
            case Kind.NODE:
                return f"node {self.name}"
        return f"pod {self.name}"

    def same_node(self, other: End) -> bool:
        """Report whether both are on one node, or are that node; not known is not."""
        return bool(self.node) and self.node == other.node

    def address(self, version: int) -> Address | None:
        """Return the first address of a family."""
        return next((one for one in self.addresses if one.version == version), None)


def of_pod(pod: Pod) -> End:
    """Return a pod as an end."""
    if pod.host_network:
        return End(Kind.NODE, pod.node, pod.addresses, pod.node, pod)
    return End(Kind.POD, str(pod), pod.addresses, pod.node, pod)


class Via(StrEnum):
    """How a connection is led to an endpoint."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "load balancer"
    HOST_PORT = "host port"


@dataclass(frozen=True, slots=True)
class Translation:
    """A Service's or a host port's translation: what was asked, and the endpoint to which it leads.

    `local` is externalTrafficPolicy Local; `receiver` the node that translates, None where any node may.
    """

    via: Via
    name: str
    address: Address | None
    port: int
    local: bool = False
    receiver: End | None = None

    def __str__(self) -> str:
        """Name it within a sentence."""
        return f"{self.via} {self.port} of {self.name}"


@dataclass(frozen=True, slots=True)
class Way:
    """One connection: from an address to an address and port behind the translation. ICMP has port 0."""

    source: End
    source_address: Address
    destination: End
    address: Address
    protocol: int
    port: int = 0
    translation: Translation | None = None

    @property
    def asked(self) -> str:
        """Protocol and port as people write them."""
        if self.is_ping:
            return "icmp"
        return f"{Protocol(self.protocol)}/{self.port}" if self.protocol in PROTOCOLS else f"protocol {self.protocol}"

    @property
    def is_ping(self) -> bool:
        """Whether it is an echo request."""
        return self.protocol in {IPPROTO_ICMP, IPPROTO_ICMPV6}

    @property
    def between_local_pods(self) -> bool:
        """Whether both ends are pods of one node."""
        return self.source.kind is self.destination.kind is Kind.POD and self.source.same_node(self.destination)

    @property
    def translated_there(self) -> Via | None:
        """How the destination's own node has translated it, which its filters see; None where another node did."""
        led = self.translation
        if led is None or self.masquerading:
            return None
        here = led.receiver is None or led.receiver.same_node(self.destination)
        return led.via if here and self.source.kind is Kind.HOST else None

    @property
    def masquerading(self) -> End | None:
        """The node whose address the endpoint's node sees in place of the source's, if one hides it.

        kube-proxy masquerades what it leads from outside to another node, unless externalTrafficPolicy is Local. Where
        the endpoint is on the receiving node, filters still see the source: masquerading comes after them.
        """
        led = self.translation
        if led is None or led.receiver is None or led.via not in {Via.NODE_PORT, Via.LOAD_BALANCER}:
            return None
        hidden = not led.local and not led.receiver.same_node(self.destination)
        return led.receiver if hidden and led.receiver.address(self.address.version) else None

    @property
    def as_seen(self) -> Way:
        """The same as the destination's node sees it."""
        if (node := self.masquerading) and (address := node.address(self.address.version)):
            return replace(self, source=node, source_address=address)
        return self


@dataclass(frozen=True, slots=True)
class Member:
    """A prefix of another member of the clusterset; `refusal` is why this node does not trust it."""

    clusterset: str
    id: str
    prefix: Prefix
    refusal: str = ""

    def __str__(self) -> str:
        """Name the member within a sentence."""
        return f"member {self.id} of clusterset {self.clusterset}"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a cluster.

    `settings` are those of the base firewall, None where they could not be read; `exposed` are the ports that single
    pods have open to everybody. `prefixes` are the nodes' names and their pods' prefixes. `policies` of the snapshot
    are those of the ends' namespaces; what could not be read is in `hidden`, by namespace, with the reason. `kernel` is
    what the kernel of this node does with its own pods' packets: ACCEPT, CLOSED, or the chain that judges them.
    `unnamed` are addresses of which it could not be read whether they are a pod's, with the reason. `members` are the
    prefixes of other clusters of the clusterset.
    """

    settings: Settings | None = None
    exposed: tuple[tuple[Address, PortRange], ...] = ()
    prefixes: tuple[tuple[str, Prefix], ...] = ()
    snapshot: Snapshot = field(default_factory=Snapshot)
    hidden: tuple[tuple[str, str], ...] = ()
    enforced: bool = True
    kernel: Mapping[tuple[Direction, Address], str] = field(default_factory=dict)
    unnamed: Mapping[Address, str] = field(default_factory=dict)
    members: tuple[Member, ...] = ()

    def node_of(self, address: Address) -> str:
        """Return the node in whose prefixes an address is; empty when it is in none."""
        return next((name for name, prefix in self.prefixes if address in prefix), "")

    def member_at(self, address: Address) -> Member | None:
        """Return the member in whose prefix an address is."""
        return next((one for one in self.members if address in one.prefix), None)


class Result(StrEnum):
    """What a step does with a connection; `SEEN` ones change nothing about whether it is let in."""

    ALLOW = "allow"
    DROP = "drop"
    UNKNOWN = "unknown"
    SEEN = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: where it happens, what it does, what says so, and the sentence for people."""

    name: str
    result: Result
    sentence: str
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """One way with all of its steps."""

    way: Way
    steps: tuple[Step, ...]

    @property
    def result(self) -> Result:
        """What comes of it: a drop anywhere is a drop."""
        return overall(step.result for step in self.steps)


def overall(results: Iterable[Result]) -> Result:
    """Return what comes of several results: a drop anywhere is a drop, and what is not known is not allowed."""
    found = set(results)
    return next((one for one in (Result.DROP, Result.UNKNOWN) if one in found), Result.ALLOW)
