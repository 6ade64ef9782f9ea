"""CHECK: what is the node's is put right on the spot, what is the pod's is held against the kernel.

A runtime that hears of a failed CHECK may do away with the pod, which helps against what is the pod's own. A cover that
a network manager has removed, a flushed firewall, a rule that leads packets astray is there for the next pod as well.
"""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.attachment import Attachment, Key, State, alias_of
from slash80.cni.claims import Claims
from slash80.errors import CniError, Failure
from slash80.intent import Intent
from slash80.node import Node
from slash80.wiring import live, netns, verify, ways


def check(node: Node, intended: Intent, key: Key, *, claimed: Claims, network: str, netns_fd: int) -> None:
    """Raise Failure naming what of the pod is missing or wrong, or what cannot be put right on the node."""
    known = node.store.get(key.host_ifname)
    if known is None or known.state is not State.READY:
        raise _of_the_pod(key, f"no attachment is recorded in {intended.conf.state_dir}")
    node.restore(intended.ruleset, network, families=intended.families, prefixes=intended.prefixes)
    problems = "; ".join(_problems(node, known, claimed, netns_fd=netns_fd))
    for error in _misled(node, known):
        error.details = f"besides, {problems}" if problems else ""
        raise error
    if problems:
        raise _of_the_pod(key, problems)


def _of_the_pod(key: Key, problems: str) -> Failure:
    return Failure(f"{key} is not as it was made: {problems}; delete the pod to have it made anew")


def _problems(node: Node, known: Attachment, claimed: Claims, *, netns_fd: int) -> Iterator[str]:
    reserved = known.assignment.addresses
    told = {interface.ip for interface in claimed.addresses}
    yield from (f"address {address} is reserved but not in prevResult" for address in reserved if address not in told)
    with netns.socket_inside(netns_fd) as pod:
        yield from verify.differences(node.host, pod, _expected(known, claimed))


def _misled(node: Node, known: Attachment) -> list[CniError]:
    """Return what rules and settings of the node do to the pod's packets."""
    link = live.link(node.host, known.host_ifname)
    return ways.misled(node.host, link.name, link.index, addresses=known.assignment.addresses) if link else []


def _expected(known: Attachment, claimed: Claims) -> verify.Expected:
    return verify.Expected(
        host_ifname=known.host_ifname,
        host_mac=known.key.host_mac,
        alias=alias_of(known.key, known.network),
        ifname=known.key.ifname,
        mac=claimed.mac.lower(),
        our_mac=known.assignment.mac,
        addresses=known.assignment.addresses,
        routes=tuple((route.dst, route.gateway) for route in claimed.routes),
        only_ours=True,
    )
