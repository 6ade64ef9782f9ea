"""Reserving addresses for an attachment, in one transaction of the store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from slash80.addressing.attachment import Assignment, Attachment, Key, Pod, State
from slash80.addressing.choose import AddressHeld, Wanted, choose
from slash80.addressing.family import IPV4, Family, family_of
from slash80.addressing.mac import Mac
from slash80.addressing.occupied import Occupied
from slash80.addressing.openings import NO_OPENINGS, Openings, conflicts, mappings_of
from slash80.addressing.suffix import Suffix
from slash80.cni.capabilities import PodOptions
from slash80.cni.request import Request
from slash80.errors import BelongsToAnother, Failure, InvalidConfig, NoFreeAddress
from slash80.failpoints import Failpoint, hit
from slash80.host import exposure, removal
from slash80.host.compiled_network import CompiledNetwork
from slash80.host.context import Host, boottime
from slash80.store.api import Reservation


class HostPortTaken(BelongsToAnother):
    """Another attachment has a host port that is asked for."""


_LOOKUPS = 128  # choices, 0.2 ms each, that may be routed elsewhere: every other call of the node waits meanwhile


@dataclass(frozen=True, slots=True)
class Reserved:
    """A reserved attachment; `earlier` counts the container's other interfaces of ours.

    `prefixes_changed` is whether the network had other prefixes before this call.
    """

    attachment: Attachment
    earlier: int
    prefixes_changed: bool


def reserve(request: Request, key: Key, compiled: CompiledNetwork, *, options: PodOptions, host: Host) -> Reserved:
    """Reserve addresses; when all are held, release those of dead attachments and try once more.

    Raises Failure when the attachment exists already, NoFreeAddress, BelongsToAnother, InvalidConfig, and what the
    store raises. What an earlier call left unfinished of the same attachment is removed first.
    """
    try:
        return _reserve(request, key, compiled, options=options, host=host)
    except (NoFreeAddress, AddressHeld, HostPortTaken):
        removal.release_dead(host)  # also what an agent has deferred, which waits for seconds to be deleted in batches
        return _reserve(request, key, compiled, options=options, host=host)


def _reserve(request: Request, key: Key, compiled: CompiledNetwork, *, options: PodOptions, host: Host) -> Reserved:
    host.require(compiled.families)
    wanted = wanted_of(
        compiled,
        options,
        key,
        boottime_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        occupied=Occupied(host.on_link(compiled.handed_out)),
    )
    draft = Attachment(
        key=key,
        network=request.network,
        assignment=Assignment(None, None, None),
        host_ifname=key.host_ifname,
        netns=request.env.netns,
        pod=pod_of(options),
        openings=openings_of(compiled, options, key, families=tuple(wanted.pools)),
    )
    with host.store.reservation(draft) as reservation:
        unfinished = next((one for one in reservation.known if one.host_ifname == key.host_ifname), None)
        if unfinished is None:
            _refuse_taken_ports(draft, reservation)
            assignment = _choose(wanted, reservation, compiled, host=host)
            changed = reservation.register.note(request.network, compiled.prefixes, boottime())
            hit(Failpoint.RESERVING)
            attachment = reservation.hold(assignment)
            earlier = sum(one.state is not State.TERMINATING for one in reservation.known)
            return Reserved(attachment, earlier, changed)
    _clear(host, unfinished)
    return _reserve(request, key, compiled, options=options, host=host)  # the record is gone, and its lock is ours


def _refuse_taken_ports(draft: Attachment, reservation: Reservation) -> None:
    """Raise HostPortTaken when another attachment has one of these host ports, whether or not it is complete yet."""
    for other in reservation.opened() if draft.openings.mappings else ():
        for one, theirs in conflicts(draft.openings.mappings, other.openings.mappings):
            pod = f" (pod {other.pod.namespace}/{other.pod.name})" if other.pod.name else ""
            raise HostPortTaken(
                f"host port {one} cannot be given: {theirs} leads to {other.key}{pod}; "
                "use another hostPort or hostIP, or delete that one"
            )


def _choose(wanted: Wanted, reservation: Reservation, compiled: CompiledNetwork, *, host: Host) -> Assignment:
    """Choose addresses that are not routed elsewhere; raise BelongsToAnother when too many in a row are."""
    for _ in range(_LOOKUPS):
        assignment = choose(wanted, reservation.register, reservation.secret)
        occupied = host.routed_elsewhere(assignment.addresses, compiled.handed_out)
        if not occupied:
            return assignment
        wanted.occupied.add(occupied)
    *_, last = occupied.values()
    raise BelongsToAnother(
        f"{_LOOKUPS} addresses in a row lead elsewhere, the last one because {last}; delete what is in the way, or "
        "exclude those addresses"
    )


def _clear(host: Host, known: Attachment) -> None:
    """Remove what a call left unfinished, or what is dead; refuse a second ADD of an attachment that is complete."""
    if removal.is_complete(host, known):
        raise Failure(
            f"{known.key} is attached already; it is left untouched, and only a DEL makes room for another ADD"
        )
    removal.remove(host, known.host_ifname)


def pod_of(options: PodOptions) -> Pod:
    """Return the Kubernetes pod of a call; its fields are empty outside Kubernetes."""
    return Pod(options.pod_namespace, options.pod_name, options.pod_uid)


def openings_of(compiled: CompiledNetwork, options: PodOptions, key: Key, *, families: Sequence[Family]) -> Openings:
    """Return what the pod asks to have open; raise InvalidConfig for a host port that cannot be given.

    Whether it may expose ports is looked up only for one that asks for that.
    """
    if not (options.ports or options.expose):
        return NO_OPENINGS
    pod, reason = pod_of(options), ""
    if options.expose and (reason := exposure.refusal(compiled.conf, pod)):
        exposure.log_refusal(key, pod, options.expose, reason=reason)
    try:
        mappings = mappings_of(options.ports, families)
    except ValueError as error:
        raise InvalidConfig(f"a host port cannot be given: {error}; change the pod's ports") from error
    return Openings(mappings, options.expose, expose_allowed=bool(options.expose) and not reason)


def wanted_of(
    compiled: CompiledNetwork, options: PodOptions, key: Key, *, boottime_ns: int, occupied: Occupied
) -> Wanted:
    """Return what an attachment needs; raise InvalidConfig for an option that this network cannot fulfil."""
    conf, found = compiled.conf, dict(compiled.pools)
    if options.no_ipv4:
        found.pop(IPV4, None)
    if not found:
        raise InvalidConfig(
            "the pod wants no IPv4, and this network has nothing else; remove the annotation or configure ipv6.prefixes"
        )
    requested = {family_of(address): address for address in options.ips}
    for family, address in requested.items():
        if family not in found:
            raise InvalidConfig(
                f"requested address {address} cannot be given: the pod gets no {family}; "
                f"configure {family.key}.prefixes"
            )
    return Wanted(
        key=key,
        pools=found,
        mode=Suffix(conf.ipv6.suffix),
        boottime_ns=boottime_ns,
        cooldown=conf.ipv4.cooldown,
        mac=_mac(options.mac),
        requested=requested,
        occupied=occupied,
    )


def _mac(text: str) -> Mac | None:
    if not text:
        return None
    try:
        return Mac.parse(text)
    except ValueError as error:
        raise InvalidConfig(f"the requested mac cannot be given: {error}") from error
