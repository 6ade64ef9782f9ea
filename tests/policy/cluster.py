"""Namespaces x, y and z with pods a, b and c each, in both families, and short words for policies and flows."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from policy.cases import Step, manifest
from policy.packets import Wall
from slash80.addressing.family import Address
from slash80.addressing.ports import SCTP, TCP, UDP, Protocol
from slash80.cluster.objects.networkpolicy import read_network_policy
from slash80.policy.compile import compile_rules
from slash80.policy.evaluate import evaluate
from slash80.policy.model import (
    Block,
    Endpoint,
    Flow,
    NamedPort,
    Namespace,
    Operator,
    Pod,
    Policy,
    Port,
    Ports,
    Requirement,
    Rule,
    Selected,
    Selector,
    Snapshot,
)

ICMP = 1
ANYTHING = Selector()
STRANGER = {4: ip_address("198.51.100.7"), 6: ip_address("2a00::7")}
NAMES = [(namespace, name) for namespace in "xyz" for name in "abc"]
SERVED = {(f"serve-{port}-{protocol}", protocol): port for port in (80, 81) for protocol in (TCP, UDP, SCTP)}


def named(protocol: Protocol, number: int) -> tuple[tuple[str, Protocol], int]:
    """Return the port of a container as upstream names it."""
    return (f"serve-{number}-{protocol}", protocol), number


def pod(namespace: str, name: str, **changes: object) -> Pod:
    """Return a pod of the cluster, with a label that says its name."""
    number = NAMES.index((namespace, name)) + 1
    fields: dict[str, object] = {
        "labels": {"pod": name},
        "addresses": (ip_address(f"10.80.1.{number}"), ip_address(f"2001:db8::{number}")),
        "node": "node1",
        "created": f"2026-01-01T00:00:{number:02}Z",
        "ports": dict(named(protocol, port) for protocol in (TCP, UDP, SCTP) for port in (80, 81)),
    }
    return Pod(namespace, name, **{**fields, **changes})  # type: ignore[arg-type]


PODS = tuple(pod(*name) for name in NAMES)
_BY_NAME = {str(one): one for one in PODS}
NAMESPACES = {name: Namespace(name, {"ns": name, "kubernetes.io/metadata.name": name}) for name in "xyz"}


def cluster(*policies: Policy, pods: tuple[Pod, ...] = PODS, **fields: object) -> Snapshot:
    """Return the cluster with policies."""
    return Snapshot(**{"pods": pods, "namespaces": NAMESPACES, "policies": policies, **fields})  # type: ignore[arg-type]


def at(step: Step) -> Snapshot:
    """Return the cluster as it is in a step of an upstream case; a broken policy would pass many, so it fails."""
    addresses = {str(one): tuple(map(str, one.addresses)) for one in PODS}
    policies = [read_network_policy(manifest(name, spec, addresses)) for name, spec in step.policies.items()]
    assert not [one.broken for one in policies if one.broken]
    pods = tuple(replace(one, labels={**one.labels, **step.pods.get(str(one), {})}) for one in PODS)
    namespaces = {
        name: replace(one, labels={**one.labels, **step.namespaces.get(name, {})}) for name, one in NAMESPACES.items()
    }
    return cluster(*policies, pods=pods, namespaces=namespaces)


def labelled(**labels: str) -> Selector:
    """Return a selector by labels."""
    return Selector(tuple(sorted(labels.items())))


def where(key: str, operator: Operator, *values: str) -> Selector:
    """Return a selector by an expression."""
    return Selector((), (Requirement(key, operator, values),))


def block(prefix: str, *exceptions: str) -> Block:
    """Return an ipBlock."""
    return Block(ip_network(prefix), tuple(map(ip_network, exceptions)))


def rule(*peers: Block | Selected, ports: tuple[Port, ...] | None = None) -> Rule:
    """Return a rule; without peers it is for any peer."""
    return Rule(peers or None, ports)


def tcp(first: int, last: int = 0) -> Ports:
    """Return TCP ports."""
    return Ports(TCP, first, last or first)


def by_name(name: str, protocol: Protocol = TCP) -> NamedPort:
    """Return a named port."""
    return NamedPort(protocol, name)


def address(of: str | Pod, version: int) -> Address:
    """Return the address of a pod `x/a`, or of the stranger."""
    if of == "stranger":
        return STRANGER[version]
    found = _BY_NAME[of] if isinstance(of, str) else of
    return next(one for one in found.addresses if one.version == version)


def flow(source: str | Pod, target: str | Pod, port: int = 80, protocol: int = TCP, version: int = 4) -> Flow:
    """Return a flow between two pods."""
    return Flow(address(source, version), address(target, version), protocol, port)


def endpoints(snapshot: Snapshot) -> list[Endpoint]:
    """Return an interface for each pod that policies can select, as if all ran on one node.

    Each address is of one interface, that of the newest pod that claims it.
    """
    found: dict[Address, Pod] = {}
    for one in sorted(snapshot.pods, key=lambda one: (one.created, one.uid, one.namespace, one.name)):
        found |= dict.fromkeys(one.addresses if one.selectable else (), one)
    return [
        Endpoint(f"s80{one.namespace}{one.name}", tuple(mine), one)
        for one in snapshot.pods
        if (mine := [of for of in one.addresses if found.get(of) is one])
    ]


def allowed(snapshot: Snapshot, *flows: Flow) -> bool:
    """Return what is said of all these flows; the oracle and the compiled rules have to agree."""
    local = endpoints(snapshot)
    wall = Wall(compile_rules(snapshot, local), local)
    found = {evaluate(snapshot, one).allowed for one in flows} | {wall.allows(one) for one in flows}
    assert len(found) == 1
    return found.pop()
