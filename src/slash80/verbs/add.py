"""ADD: reserve addresses, close the firewall, make the link, answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from slash80.addressing.attachment import Key
from slash80.addressing.family import IPV4, IPV6, Address, family_of
from slash80.cni import capabilities
from slash80.cni import request as requests
from slash80.cni.capabilities import PodOptions
from slash80.cni.document import Document
from slash80.cni.request import Request
from slash80.cni.result import Interface, Ip, Result, Route
from slash80.errors import BelongsToAnother, Failure
from slash80.failpoints import Failpoint, hit
from slash80.firewall import conntrack
from slash80.host import compiled_network, forwarding, pod_elements, policies, removal
from slash80.host.compiled_network import CompiledNetwork
from slash80.host.context import CallContext, Host
from slash80.netlink.socket import Socket
from slash80.settings.network import NetConf
from slash80.store.api import StoreReopened
from slash80.verbs.call import key_of, sandbox
from slash80.verbs.reserve import Reserved, reserve
from slash80.wiring import netns, query, sysctl, veth
from slash80.wiring.plan import Plan

_TRIES = 8  # addresses that may turn out to be in use before ADD gives up


@dataclass(frozen=True, slots=True)
class _Call:
    """One ADD, with the attachment's lock held."""

    request: Request
    key: Key
    compiled: CompiledNetwork
    options: PodOptions
    host: Host
    netns_fd: int
    aside: policies.Aside


def add(request: Request, context: CallContext, answer: Callable[[Document], None]) -> None:
    """Attach a pod and answer with the result; raise a CniError, or what `answer` raises, and leave nothing behind.

    The answer is written while the attachment's lock is held: an attachment whose answer cannot be delivered is
    removed, and must not by then have become another call's.
    """
    compiled, options = compiled_network.read(request.conf), capabilities.read(request)
    previous, key = requests.previous(request), key_of(request)
    with (
        sandbox(request, context) as netns_fd,
        context.opened(compiled.conf) as host,
        host.locks.held(key.host_ifname),
    ):
        hit(Failpoint.LOCKED)
        _attach(_Call(request, key, compiled, options, host, netns_fd, context.aside), previous, answer)


def _attach(call: _Call, previous: Document | None, answer: Callable[[Document], None]) -> None:
    """Attach with the first choice of addresses that no other link turns out to have."""
    for _ in range(_TRIES):
        try:
            return _attach_once(call, previous, answer)
        except (StoreReopened, veth.HostEndLeft):
            continue  # the store's file was replaced and is open again; undoing has deleted the leftover host end
        except veth.AddressInUse as conflict:
            freed = _freed(call.host, conflict.holder, conflict.address)
            if conflict.address in call.options.ips and not freed:
                raise BelongsToAnother(
                    f"requested {conflict.msg}, so it cannot be given; ask for another"
                ) from conflict
    raise Failure(
        f"{_TRIES} addresses in a row turned out to be in use; another state directory serves the same prefixes"
    )


def _attach_once(call: _Call, previous: Document | None, answer: Callable[[Document], None]) -> None:
    host, compiled = call.host, call.compiled
    reserved = reserve(call.request, call.key, compiled, options=call.options, host=host)
    hit(Failpoint.RESERVED)
    with (
        removal.UndoOnFailure(host, call.key.host_ifname),
        netns.socket_inside(call.netns_fd, host.netlink.namespace) as pod,
        policies.Admission(host, compiled, reserved.attachment, aside=call.aside) as admission,
    ):
        plan = _plan(call, reserved, pod)
        result = result_of(compiled.conf, plan, call.options).document(call.request.version, previous)
        veth.refuse_other_defaults(pod, plan)
        pod_elements.make_room(host, reserved.attachment)
        host.ensure_firewall(
            compiled.ruleset,
            call.request.network,
            reserved.attachment,
            alone=not reserved.earlier,
            dispatch=admission.dispatch,
        )
        pod_elements.forget_ports(host, reserved.attachment)
        hit(Failpoint.CLOSED)
        forwarding.prepare(host, compiled.families, compiled.prefixes)
        if reserved.prefixes_changed:
            forwarding.delete_unneeded_discard_routes(host)
        hit(Failpoint.FORWARDED)
        veth.attach(host.netlink, pod, plan, netns_fd=call.netns_fd)
        host.store.keep(reserved.attachment)  # a no-op unless the store was lost since the reservation
        hit(Failpoint.KEPT)
        admission.wait()
        answer(result)
    hit(Failpoint.ANSWERED)
    if IPV6 in plan.families:  # nothing waits for it, and the pod works without it as well
        with suppress(OSError):
            netns.inside(call.netns_fd, lambda: sysctl.keep_ipv6(plan.ifname), host.netlink.namespace)


def _plan(call: _Call, reserved: Reserved, pod: Socket) -> Plan:
    mtu, earlier = call.compiled.conf.mtu or call.host.uplink_mtu(), reserved.earlier
    if earlier:  # an interface that was removed since may have had a lower number than one that still exists
        with veth.translated():
            taken = query.priorities(pod)
        while compiled_network.LATER_PRIORITY + earlier in taken:
            earlier += 1
    return compiled_network.plan(
        call.compiled, reserved.attachment, mtu=mtu, earlier=earlier, netns=call.request.env.netns
    )


def _freed(host: Host, holder: str, address: Address) -> bool:
    """Remove the link that has our address if no record and no call accounts for it; report whether that was done."""
    with host.locks.tried(holder) as free:
        known = host.store.get(holder)
        if not free or (known and removal.is_complete(host, known)):
            return False
        removal.remove(host, holder)
    conntrack.forget([address])  # which no record may have listed
    return True


def result_of(conf: NetConf, plan: Plan, options: PodOptions) -> Result:
    """Return the CNI result of an attachment."""
    ips = [Ip(address, family_of(address).gateway) for address in plan.addresses]
    first = IPV6 if conf.primary_family == IPV6.key else IPV4
    ips.sort(key=lambda ip: family_of(ip.address) is not first)
    configured = {route.dst for route in conf.routes}
    routes = []
    for route in plan.routes:
        priority = route.priority if route.dst in configured else None  # that of our default routes is internal
        routes.append(Route(route.dst, family_of(route.dst).gateway, route.mtu, route.advmss, priority))
    return Result(
        interfaces=(
            Interface(plan.host_ifname, str(plan.host_mac), plan.mtu),
            Interface(plan.ifname, str(plan.mac), plan.mtu, plan.netns),
        ),
        ips=tuple(ips),
        routes=tuple(routes),
        dns=options.dns or _dns(conf),
    )


def _dns(conf: NetConf) -> Document:
    return {key: value for key, value in conf.dns.model_dump().items() if value} if conf.dns else {}
