"""Creating and deleting an attachment's links.

The pair is created alone, since the rest of a batch runs on after a failed create; then each namespace gets one batch.
All that belongs to one attachment hangs on its host end, so deleting that link undoes everything.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from ipaddress import ip_network
from types import TracebackType

from slash80.addressing.attachment import DYING_PREFIX, HOST_PREFIX, dying_name, read_alias
from slash80.addressing.family import IPV4, IPV6, Address, Family, family_of
from slash80.addressing.mac import Mac
from slash80.errors import BelongsToAnother, CniError, Failure
from slash80.failpoints import Failpoint, hit
from slash80.netlink.batches import Batches
from slash80.netlink.codec import NetlinkError, Response, Step
from slash80.netlink.socket import Socket
from slash80.wiring import (
    address_messages,
    link_messages,
    netns,
    query,
    reachability,
    route_messages,
    route_text,
    sysctl,
)
from slash80.wiring.plan import Plan, RouteSpec

# Where a spare index is looked for. The kernel counts up to INT_MAX, so it gets here after a million pods.
_FAR = 1 << 20
_SPARES = 64  # indexes that are looked at
_BATCHES = Batches()
_LEAST_MTU = 1280  # RFC 8200, section 5: below it the kernel switches IPv6 off on the link


class AddressInUse(Failure):
    """A route leads the chosen address to another link; `holder` is that link's name, of our group."""

    def __init__(self, address: Address, holder: str) -> None:
        """Name the address and the host end that has it."""
        super().__init__(f"address {address} is in use on link {holder}; another one is chosen")
        self.address, self.holder = address, holder


class HostEndLeft(Failure):
    """A host end of ours without a record has the name: a call that was killed left it."""

    def __init__(self, name: str) -> None:
        """Name it."""
        super().__init__(f"link {name} is left of an earlier call; delete it")


class translated:  # noqa: N801 -- used like a function; made by contextmanager it would cost four times as much
    """Turn what the kernel refuses into a CNI error; the sentence holds the `ip` command that failed the same way."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise Failure in the place of what netlink raises."""
        if isinstance(value, NetlinkError):
            raise Failure(f"{value.strerror}; run it on the node to see more") from value
        if isinstance(value, OSError):
            reason = value.strerror or value
            raise Failure(f"netlink cannot be used: {reason}; look at the node's memory and limits") from value


def is_ours(link: query.Link) -> bool:
    """Report whether a link is a host end of ours: by name, and by group or alias, since either may be changed."""
    return link.name.startswith(HOST_PREFIX) and _is_marked(link)


def is_dying(link: query.Link) -> bool:
    """Report whether a link is a host end of ours that waits for its deletion."""
    return link.name.startswith(DYING_PREFIX) and _is_marked(link)


def _is_marked(link: query.Link) -> bool:
    marked = link.group in {link_messages.GROUP_ALIVE, link_messages.GROUP_DYING} or read_alias(link.alias) is not None
    return link.kind == "veth" and marked


def attach(host: Socket, pod: Socket, plan: Plan, *, netns_fd: int) -> None:
    """Make both ends and all that hangs on them; `detach` undoes what was made.

    The kernel acknowledges every step, and EXCL sees to it that it was this call that made the thing. Raise
    AddressInUse when another link of ours has an address, HostEndLeft when one has the host end's name,
    BelongsToAnother when another program's route or link has it, or a rule leads the pod's packets another way.
    """
    if IPV6 in plan.families and plan.mtu < _LEAST_MTU:
        raise Failure(
            f"MTU {plan.mtu} of the uplink is too small for IPv6, which needs {_LEAST_MTU}; set mtu, or fix the uplink"
        )
    with translated():
        index, peer = _create(host, plan, netns_fd)
        hit(Failpoint.LINKED)
        sysctl.guard_host_end(plan.host_ifname)
        if IPV4 in plan.loopback:
            sysctl.answer_loopback(plan.host_ifname)
        with _usable(host, plan, index):
            _wire_host_end(host, plan, index)
            hit(Failpoint.HOST_WIRED)
            _wire_pod_end(pod, plan, peer, netns_fd=netns_fd)
        # The alias is last, so that a link that says whose it is has all its wires: when the store is lost nothing else
        # tells. And it takes the rtnl lock, under which the kernel makes an address's local route right after it tells
        # of it.
        steps = _BATCHES.fill(_end, (), (plan.host_ifname, index, plan.alias, *plan.addresses))
        *answers, named = host.exchange(steps)
        if named.errno:
            raise NetlinkError(steps[-1], named)
        reachability.judge(host, plan.host_ifname, index, addresses=plan.addresses, answers=answers)
        hit(Failpoint.POD_WIRED)


def _end(_: tuple[()], values: tuple[str, int, str, *tuple[Address, ...]]) -> list[Step]:
    """Return the questions which way packets take, and the alias."""
    name, index, alias, *addresses = values
    return [*reachability.questions(name, index, addresses), link_messages.set_alias(name, index, alias)]


def restore_loopback(host: Socket, link: query.Link, families: Sequence[Family]) -> None:
    """Put back what the host end of a pod needs whose host ports include the node's loopback in these families."""
    if IPV4 in families:
        sysctl.answer_loopback(link.name)
    if IPV6 in families:
        with translated():
            step = route_messages.add_loopback_route(link.name, link.index)
            if (answer := host.exchange([step])[0]).errno not in {0, errno.EEXIST}:
                raise NetlinkError(step, answer)


def _usable(host: Socket, plan: Plan, index: int) -> AbstractContextManager[None]:
    """Return what waits, after the wiring, until the host end takes packets of all families."""
    if IPV6 in plan.families:
        return query.addresses_ready(host, index, [family.gateway for family in plan.families])
    return query.link_ready(host, index)


def refuse_other_defaults(pod: Socket, plan: Plan) -> None:
    """Raise BelongsToAnother when the namespace has a default route that is neither ours nor to be left alone."""
    with translated():
        wanted = {route.dst for route in plan.routes if not route.dst.prefixlen}
        found = query.routes(pod, None) if wanted else []
    for route in found:
        if (
            route.dst in wanted
            and route.kind == route_messages.RTN_UNICAST
            and route.protocol != route_messages.PROTOCOL
        ):
            found_there = (
                f"{family_of(route.dst)} default route already (protocol {route.protocol}, via {route.gateway})"
            )
            raise BelongsToAnother(f"{plan.netns} has an {found_there}; delete it, or set defaultRoute to false")


def detach(host: Socket, host_ifname: str) -> bool:
    """Delete a host end of ours, up or dying, and with it all that belongs to it; return whether there was one."""
    with translated():
        found = query.named(host, (host_ifname, dying_name(host_ifname)))
        ours = [link for link in found if is_ours(link) or is_dying(link)]
        for link in ours:
            answer = host.exchange([step := link_messages.delete_link(link.name, link.index)])[0]
            if answer.errno not in {0, errno.ENODEV}:
                raise NetlinkError(step, answer)
        return bool(ours)


def host_end(host: Socket, host_ifname: str) -> query.Link | None:
    """Find a host end; raise BelongsToAnother when a link with its name is not ours."""
    with translated():
        link = query.link(host, host_ifname)
    if link and not is_ours(link):
        msg = f"link {link.name} (kind {link.kind or 'unknown'}, group {link.group}) is in the way and not slash80's"
        raise BelongsToAnother(f"{msg}; rename or delete it")
    return link


def _create(host: Socket, plan: Plan, netns_fd: int) -> tuple[int, int]:
    """Make the pair and give the indexes of the host end and of the pod's, which differ.

    Where both ends have the same index the kernel does not take the link for a tunnel or a veth, finds its carrier not
    urgent, and IPv6 learns of it up to a second late (linkwatch_urgent_event in net/core/link_watch.c).
    """
    index, peer = _create_at(host, plan, netns_fd, index=0)
    if index != peer:
        return index, peer
    detach(host, plan.host_ifname)
    return _create_at(host, plan, netns_fd, index=_spare_index(host, plan))


def _spare_index(host: Socket, plan: Plan) -> int:
    """Return an index that no link of the host has: for a taken one the kernel says EEXIST, as for a taken name."""
    first = _FAR + (plan.host_mac.value & 0xFFFF)
    for index in range(first, first + _SPARES):
        if query.link_at(host, index) is None:
            return index
    raise Failure(f"no interface index from {first} to {first + _SPARES - 1} is free on the node; try again")


def _create_at(host: Socket, plan: Plan, netns_fd: int, *, index: int) -> tuple[int, int]:
    step = link_messages.create_pair(plan, netns_fd, index=index)
    answer = host.exchange([step])[0]
    if answer.errno == errno.EEXIST:
        if host_end(host, plan.host_ifname):
            raise HostEndLeft(plan.host_ifname)
        msg = f"interface {plan.ifname} exists already in the network namespace {plan.netns}; it is left untouched"
        raise Failure(f"{msg}, and the pod needs another CNI_IFNAME or a new sandbox")
    if answer.errno:
        raise NetlinkError(step, answer)
    if answer.messages:
        return query.ends_of(answer.messages[0])
    made = query.link(host, plan.host_ifname)  # Linux before 6.2 does not tell
    if made is None:
        raise Failure(f"link {plan.host_ifname} vanished while it was made: the sandbox {plan.netns} is gone")
    return made.index, made.peer


def _wire_host_end(host: Socket, plan: Plan, index: int) -> None:
    name = plan.host_ifname
    steps = _BATCHES.fill(_host_end, (plan.families, plan.loopback), (name, index, *plan.addresses))
    enable = partial(sysctl.enable_ipv6, name, advice="set net.ipv6.conf.default.disable_ipv6 to 0 on the node")
    if refused := _refused(host, steps, enable):
        step, answer = refused[0]
        for address in plan.addresses if answer.errno == errno.EEXIST else ():
            if step == route_messages.add_host_route(name, index, address):
                raise _conflict(host, address)
        raise NetlinkError(step, answer)


def _host_end(
    fixed: tuple[tuple[Family, ...], tuple[Family, ...]], values: tuple[str, int, *tuple[Address, ...]]
) -> list[Step]:
    (families, loopback), (name, index, *addresses) = fixed, values
    steps = [address_messages.add_gateway(name, index, family) for family in families]
    # its automatic link-local address would be unused, and duplicate address detection for it is a tenth of an ADD
    steps += [link_messages.configure_host_end(name, index, families), link_messages.set_up(name, index)]
    steps += [route_messages.add_loopback_route(name, index)] if IPV6 in loopback else []
    return steps + [route_messages.add_host_route(name, index, address) for address in addresses]


def _wire_pod_end(pod: Socket, plan: Plan, index: int, *, netns_fd: int) -> None:
    values = (plan.ifname, index, plan.host_mac, *plan.addresses)
    steps = _BATCHES.fill(_pod_end, (plan.families, plan.routes), values)
    with query.addresses_ready(pod, index, plan.addresses):
        # some runtimes switch it off for all of the pod, and loopback is its too
        everywhere = partial(sysctl.enable_ipv6, "lo", "default", plan.ifname)
        if refused := _refused(pod, steps, lambda: netns.inside(netns_fd, everywhere)):
            raise NetlinkError(*refused[0])


def _pod_end(
    fixed: tuple[tuple[Family, ...], tuple[RouteSpec, ...]], values: tuple[str, int, Mac, *tuple[Address, ...]]
) -> list[Step]:
    """Return the steps for a pod's interface, with the host end's MAC."""
    (families, routes), (name, index, mac, *addresses) = fixed, values
    steps = [address_messages.add_address(name, index, address) for address in addresses]
    steps += [link_messages.set_up_pod_end(name, index, families)]
    steps += [address_messages.add_neighbour(name, index, gateway=family.gateway, mac=mac) for family in families]
    steps += [route_messages.add_gateway_route(name, index)] if IPV4 in families else []
    return steps + [route_messages.add_pod_route(name, index, route) for route in routes]


def _refused(socket: Socket, steps: Sequence[Step], enable_ipv6: Callable[[], None]) -> list[tuple[Step, Response]]:
    """Do the steps and give those that were refused; where IPv6 is off, switch it on and do those again.

    That is seen by what the kernel refuses. To ask before costs 10 us at each ADD, and more with every pod: the same
    setting of all namespaces is in one chain of the kernel's cache (proc_sys_compare in fs/proc/proc_sysctl.c).
    """
    found = _failed(socket, steps)
    if any(answer.errno == errno.EACCES for _, answer in found):
        enable_ipv6()
        found = _failed(socket, [step for step, _ in found])
    return found


def _failed(socket: Socket, steps: Sequence[Step]) -> list[tuple[Step, Response]]:
    # by their numbers: steps of a batch are made only where they are looked at
    return [(steps[number], answer) for number, answer in enumerate(socket.exchange(steps)) if answer.errno]


def _conflict(host: Socket, address: Address) -> CniError:
    """Find out whose an address is that a route leads elsewhere."""
    route = query.route_lookup(host, address)
    if route is None or route.dst != ip_network(address):
        return Failure(f"the route to {address} was in the way and is gone now; try again")
    link = query.link_at(host, route.index)
    if route.protocol == route_messages.PROTOCOL and link and is_ours(link):
        return AddressInUse(address, link.name)
    msg = f"route {route_text.route(host, route)} is in the way and not slash80's"
    return BelongsToAnother(f"{msg}; delete it, or exclude {address}")
