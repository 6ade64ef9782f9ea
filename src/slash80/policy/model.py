"""What Kubernetes says, as values: pods, namespaces and policies.

Source: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/. Lists that are missing
and lists that are empty mean different things there; here None is "any" or "not at all", as each field says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from slash80.addressing.family import Address, Prefix
from slash80.addressing.ports import LAST_PORT, Protocol
from slash80.policy.direction import Direction as Direction  # noqa: PLC0414 -- here for those who load all of this

Labels = Mapping[str, str]


class Operator(StrEnum):
    """How a requirement compares."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One of a selector's matchExpressions."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Report whether labels meet it; NotIn is met as well where the key is missing."""
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """A label selector; without labels and requirements it selects everything. Both are in order."""

    labels: tuple[tuple[str, str], ...] = ()
    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Report whether labels are selected."""
        return all(labels.get(key) == value for key, value in self.labels) and all(
            one.matches(labels) for one in self.requirements
        )


@dataclass(frozen=True, slots=True)
class Block:
    """An ipBlock: a prefix without what is excepted."""

    prefix: Prefix
    exceptions: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True)
class Selected:
    """A peer by selectors: `namespaces` is None for the policy's own namespace, `pods` for all pods of those.

    One without either selects nothing: the API refuses it, and what cannot be understood must not allow.
    """

    namespaces: Selector | None = None
    pods: Selector | None = None


Peer = Block | Selected


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of a protocol by number, from `first` to `last`."""

    protocol: Protocol
    first: int = 0
    last: int = LAST_PORT

    @property
    def all(self) -> bool:
        """Whether these are all ports of the protocol."""
        return (self.first, self.last) == (0, LAST_PORT)


@dataclass(frozen=True, slots=True)
class NamedPort:
    """A port that a container names: of the policy's pods for ingress, of the peers for egress."""

    protocol: Protocol
    name: str


Port = Ports | NamedPort


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `ingress` or `egress`: None is any peer, any port and protocol; an empty tuple none at all."""

    peers: tuple[Peer, ...] | None = None
    ports: tuple[Port, ...] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A NetworkPolicy: `ingress` and `egress` are None where it does not isolate its pods in that direction.

    One that could not be understood has a reason in `broken`: it isolates its pods and allows nothing.
    """

    namespace: str
    name: str
    pods: Selector
    ingress: tuple[Rule, ...] | None = ()
    egress: tuple[Rule, ...] | None = None
    broken: str = ""

    def rules(self, direction: Direction) -> tuple[Rule, ...] | None:
        """Return the rules of a direction; None where it does not isolate its pods in that."""
        return self.egress if direction is Direction.EGRESS else self.ingress

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A Namespace and its labels."""

    name: str
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pod:
    """A Pod, as far as policies and the people who ask about them need it.

    `uid` is what a runtime passes as K8S_POD_UID: of a static pod the annotation `kubernetes.io/config.hash` of its
    mirror. `ports` are by name and protocol, of containers and of init containers that keep running.
    `created` orders pods that claim one address: the newest one has it.
    """

    namespace: str
    name: str
    uid: str = ""
    labels: Labels = field(default_factory=dict)
    addresses: tuple[Address, ...] = ()
    node: str = ""
    host_network: bool = False
    finished: bool = False
    created: str = ""
    ports: Mapping[tuple[str, Protocol], int] = field(default_factory=dict)

    @property
    def selectable(self) -> bool:
        """Whether selectors can select it.

        The address of an ended pod may be another's by now, and that of a hostNetwork pod is its node's.
        """
        return not (self.finished or self.host_network)

    @property
    def claim(self) -> tuple[str, ...]:
        """What decides between pods that claim one address: the highest has it."""
        return self.created, self.uid, self.namespace, self.name

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An interface of this node's, whose packets policies judge.

    `pod` is None for one whose pod the API has not shown: it may do nothing if `closed`, else everything. An interface
    after a pod's first one is judged as the pod is, and cannot be a peer.
    """

    ifname: str
    addresses: tuple[Address, ...]
    pod: Pod | None = None
    closed: bool = False
    first: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the API shows of a cluster. Keys of namespaces are their names.

    Two things are known beside the API, and may be left out: the addresses of `nodes` by name, since a pod and its own
    node always reach each other, and those of pods' `further` interfaces, which are judged as the pod is and are no
    peers. A pod that has such an address in the API only is not judged at it.
    """

    pods: tuple[Pod, ...] = ()
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    policies: tuple[Policy, ...] = ()
    nodes: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)
    further: Mapping[Address, Pod] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flow:
    """The first packet of a connection, after a Service's address was replaced by its endpoint's.

    `port` is that of the destination; 0 with a protocol that has none, such as ICMP.
    """

    source: Address
    destination: Address
    protocol: int
    port: int = 0
