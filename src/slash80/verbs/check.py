"""CHECK: what is the node's is put right on the spot, what is the pod's is compared with the kernel.

A runtime may remove a pod whose CHECK failed, which helps against what is the pod's own. A discard route that a network
manager has removed, a flushed firewall or a rule that leads packets astray would meet the next pod as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from slash80.addressing.attachment import Attachment, Key, State, alias_of
from slash80.addressing.family import family_of
from slash80.addressing.openings import mappings_of
from slash80.cni import capabilities, expected
from slash80.cni import request as requests
from slash80.cni.expected import ExpectedInterface
from slash80.cni.request import Request
from slash80.errors import CniError, Failure, InvalidConfig
from slash80.host import compiled_network, forwarding, node_facts, pod_elements, policies
from slash80.host.compiled_network import CompiledNetwork
from slash80.host.context import CallContext, Host
from slash80.verbs.call import key_of, sandbox
from slash80.wiring import netns, query, reachability, verify, veth


def check(request: Request, context: CallContext) -> None:
    """Compare a chain's final result with the kernel; raise a CniError naming what is missing or wrong."""
    compiled, key = compiled_network.read(request.conf), key_of(request)
    capabilities.refuse_ipam(request.conf)
    previous = requests.previous(request)
    if previous is None:
        raise InvalidConfig("CHECK needs 'prevResult', the final result of the ADD, and the configuration has none")
    interface = expected.read(previous, request.env.ifname, request.env.netns)
    with (
        sandbox(request, context) as netns_fd,
        context.opened(compiled.conf) as host,
        host.locks.held(key.host_ifname),
        veth.translated(),
    ):
        known = _record(host, key, compiled)
        pod_elements.make_room(host, known)
        dispatch = partial(policies.dispatch, host, known, from_node=compiled.from_node)
        host.ensure_firewall(compiled.ruleset, request.network, known, dispatch=dispatch)
        forwarding.restore(host, compiled.families, compiled.prefixes)
        node_facts.reconcile(host, compiled.prefixes)
        _restore_loopback(host, known)
        missing = _missing_ports(request, known)
        problems = "; ".join([*missing, *_problems(host, known, interface, netns_fd=netns_fd)])
        for error in _misled(host, known):
            error.details = f"besides, {problems}" if problems else ""
            raise error
        if problems:
            raise _of_the_pod(key, problems)


def _record(host: Host, key: Key, compiled: CompiledNetwork) -> Attachment:
    known = host.store.get(key.host_ifname)
    if known is None or known.state is not State.READY:
        raise _of_the_pod(key, f"no attachment is recorded in {compiled.conf.state_dir}")
    return known


def _of_the_pod(key: Key, problems: str) -> Failure:
    return Failure(f"{key} has changed since ADD: {problems}; delete the pod so that it is recreated")


def _problems(host: Host, known: Attachment, interface: ExpectedInterface, *, netns_fd: int) -> Iterator[str]:
    reserved = known.assignment.addresses
    told = {address.ip for address in interface.addresses}
    yield from (f"address {address} is reserved but not in prevResult" for address in reserved if address not in told)
    with netns.socket_inside(netns_fd, host.netlink.namespace) as pod:
        yield from verify.differences(host.netlink, pod, _expected(known, interface))


def _restore_loopback(host: Host, known: Attachment) -> None:
    loopback = known.openings.loopback
    if link := query.link(host.netlink, known.host_ifname) if loopback else None:
        veth.restore_loopback(host.netlink, link, loopback)


def _missing_ports(request: Request, known: Attachment) -> list[str]:
    """Return the host ports that were asked for and are not on record, as after state and firewall were lost."""
    families = [family_of(address) for address in known.assignment.addresses]
    try:
        asked = mappings_of(capabilities.ports(request), families)
    except ValueError as error:
        return [str(error)]
    return [f"host port {one} is missing" for one in asked if one not in known.openings.mappings]


def _misled(host: Host, known: Attachment) -> list[CniError]:
    """Return what rules and settings of the node do to the pod's packets."""
    link = query.link(host.netlink, known.host_ifname)
    if link is None:
        return []
    return reachability.misled(host.netlink, link.name, link.index, addresses=known.assignment.addresses)


def _expected(known: Attachment, interface: ExpectedInterface) -> verify.Expected:
    return verify.Expected(
        host_ifname=known.host_ifname,
        host_mac=known.key.host_mac,
        alias=alias_of(known.key, known.network),
        ifname=known.key.ifname,
        mac=interface.mac.lower(),
        our_mac=known.assignment.mac,
        addresses=known.assignment.addresses,
        routes=tuple((route.dst, route.gateway) for route in interface.routes),
        only_ours=True,
    )
